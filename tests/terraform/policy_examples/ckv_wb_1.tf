resource "aws_mwaa_environment" "good_key" {
  name    = "x"
  kms_key = aws_kms_key.key.arn
}

resource "aws_mwaa_environment" "bad_no_key" {
  name = "x"
}

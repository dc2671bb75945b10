resource "aws_cloudwatch_log_group" "good_end" {
  name              = "x"
  retention_in_days = 365
}

resource "aws_cloudwatch_log_group" "bad_default" {
  name = "x"
}

resource "aws_cloudwatch_log_group" "bad_never" {
  name              = "x"
  retention_in_days = 0
}

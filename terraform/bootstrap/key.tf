resource "aws_kms_key" "state" {
  description             = "Terraform's state of ${local.name}"
  deletion_window_in_days = 30
  enable_key_rotation     = true

  lifecycle {
    prevent_destroy = true
  }
}

data "aws_iam_policy_document" "key" {
  statement {
    sid       = "AccountDecidesThroughIam"
    actions   = ["kms:*"]
    resources = [aws_kms_key.state.arn]

    principals {
      type        = "AWS"
      identifiers = ["${local.iam}:root"]
    }
  }
}

resource "aws_kms_key_policy" "state" {
  key_id = aws_kms_key.state.key_id
  policy = data.aws_iam_policy_document.key.json
}

resource "aws_kms_alias" "state" {
  name          = "alias/${local.name}-tfstate"
  target_key_id = aws_kms_key.state.key_id
}

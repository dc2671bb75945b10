data "aws_iam_policy_document" "good_named" {
  statement {
    actions   = ["s3:GetObject", "kms:GenerateDataKey*"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "good_denied_family" {
  statement {
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "bad_family" {
  statement {
    actions   = ["ecs:Describe*"]
    resources = ["*"]
  }
}

data "aws_iam_policy_document" "bad_all_but" {
  statement {
    not_actions = ["s3:PutObject"]
    resources   = ["*"]
  }
}

# The role of the instance that bakes. Image Builder itself acts by its service-linked role, which no boundary binds (decision 0206).

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
}

# EC2 names no source when it assumes an instance's role.
data "aws_iam_policy_document" "build_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.${data.aws_partition.current.dns_suffix}"]
    }
  }
}

data "aws_iam_policy_document" "build" {
  #checkov:skip=CKV_AWS_111: until 2027-05-31: Session Manager's channels have no ARN to name
  #checkov:skip=CKV_AWS_356: until 2027-05-31: Session Manager's channels and the registry's login have no ARN to name

  statement {
    sid       = "ReportToSystemsManager"
    actions   = ["ssm:UpdateInstanceInformation"]
    resources = ["arn:${local.partition}:ec2:${var.region}:${local.account_id}:instance/*"]
  }

  statement {
    sid = "TakeCommands"
    actions = [
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }

  statement {
    sid       = "ReadComponent"
    actions   = ["imagebuilder:GetComponent"]
    resources = ["arn:${local.partition}:imagebuilder:${var.region}:${local.account_id}:component/${var.name}-images-*/*"]
  }

  # Image Builder's own program comes from there.
  statement {
    sid       = "FetchBuilder"
    actions   = ["s3:GetObject"]
    resources = ["arn:${local.partition}:s3:::ec2imagebuilder-*-${var.region}-prod/*"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["s3:PutObject"]
    resources = ["${var.log_bucket.arn}/image-builder/*"]
  }

  statement {
    sid       = "UseKeyForComponentAndLogs"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [for service in ["imagebuilder", "s3"] : "${service}.${var.region}.${data.aws_partition.current.dns_suffix}"]
    }
  }

  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = length(var.repository_arns) > 0 ? [1] : []

    content {
      sid       = "PullImages"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = var.repository_arns
    }
  }
}

resource "aws_iam_role" "build" {
  name                 = "${var.name}-image-build"
  description          = "The instance that bakes the AMI pulls images"
  assume_role_policy   = data.aws_iam_policy_document.build_trust.json
  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "build" {
  name   = "bake-ami"
  role   = aws_iam_role.build.id
  policy = data.aws_iam_policy_document.build.json
}

resource "aws_iam_instance_profile" "build" {
  name = "${var.name}-image-build"
  role = aws_iam_role.build.name
}

# What an environment has only when its values ask for it.

data "aws_iam_policy_document" "options" {
  statement {
    sid       = "OwnImages"
    actions   = ["imagebuilder:*"]
    resources = ["${local.arn.imagebuilder}:*/${local.name}", "${local.arn.imagebuilder}:*/${local.name}-*"]
  }

  # Image Builder looks for its caller whether Inspector is to scan what it bakes.
  statement {
    sid       = "AskForScans"
    actions   = ["inspector2:BatchGetAccountStatus"]
    resources = ["*"]
  }

  statement {
    sid       = "SharedStorageStack"
    actions   = ["cloudformation:CreateStack", "cloudformation:DeleteStack", "cloudformation:TagResource", "cloudformation:UpdateStack"]
    resources = ["${local.arn.cloudformation}:stack/${local.name}-*/*"]
  }

  # The password with which the file system joins a domain: CloudFormation reads it in its caller's name, and the caller cannot by itself.
  statement {
    sid       = "JoinDomain"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["${local.arn.secretsmanager}:secret:${local.name}-*"]

    condition {
      test     = "ForAnyValue:StringEquals"
      variable = "aws:CalledVia"
      values   = ["cloudformation.amazonaws.com"]
    }
  }

  # The resolver's rules are made before they have a name.
  statement {
    sid       = "ForwardDomain"
    actions   = ["route53resolver:*"]
    resources = ["${local.arn.route53resolver}:*"]
  }

  statement {
    sid       = "SharedStorage"
    actions   = ["fsx:*"]
    resources = ["${local.arn.fsx}:*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/environment"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "FindSecurityGroups"
    actions   = ["ec2:GetSecurityGroupsForVpc"]
    resources = ["${local.arn.ec2}:vpc/*"]
  }

  statement {
    sid       = "MakeSharedStorage"
    actions   = ["fsx:CreateFileSystem", "fsx:TagResource"]
    resources = ["${local.arn.fsx}:*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/environment"
      values   = [var.environment]
    }
  }
}

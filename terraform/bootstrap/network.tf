# EC2 by tags: what is made is marked as this environment's, and only what is marked may be changed or deleted. Tags are set while something
# is made, and later only on what has them, so nothing of somebody else's can be marked.

locals {
  marked = { "aws:ResourceTag/environment" = var.environment, "aws:ResourceTag/root" = "winbatch" }
  made   = { "aws:RequestTag/environment" = var.environment, "aws:RequestTag/root" = "winbatch" }
}

data "aws_iam_policy_document" "network" {
  statement {
    sid = "Make"
    actions = [
      "ec2:AllocateAddress",
      "ec2:CreateFlowLogs",
      "ec2:CreateInternetGateway",
      "ec2:CreateLaunchTemplate",
      "ec2:CreateNatGateway",
      "ec2:CreateRouteTable",
      "ec2:CreateSecurityGroup",
      "ec2:CreateSubnet",
      "ec2:CreateVpc",
      "ec2:CreateVpcEndpoint",
    ]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }

  statement {
    sid       = "MarkWhatIsMade"
    actions   = ["ec2:CreateTags"]
    resources = ["${local.arn.ec2}:*/*"]

    condition {
      test     = "Null"
      variable = "ec2:CreateAction"
      values   = ["false"]
    }
  }

  # A VPC comes with a security group that has no tags; the root takes it over to close it.
  statement {
    sid       = "MarkDefaultGroup"
    actions   = ["ec2:CreateTags", "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"]
    resources = ["${local.arn.ec2}:security-group/*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/environment"
      values   = ["true"]
    }

    condition {
      test     = "StringEqualsIfExists"
      variable = "aws:RequestTag/environment"
      values   = [var.environment]
    }
  }

  statement {
    sid = "ChangeWhatIsMarked"
    actions = [
      "ec2:AssociateRouteTable",
      "ec2:AttachInternetGateway",
      "ec2:AuthorizeSecurityGroupEgress",
      "ec2:AuthorizeSecurityGroupIngress",
      "ec2:CreateLaunchTemplateVersion",
      "ec2:CreateRoute",
      "ec2:CreateTags",
      "ec2:DeleteFlowLogs",
      "ec2:DeleteInternetGateway",
      "ec2:DeleteLaunchTemplate",
      "ec2:DeleteLaunchTemplateVersions",
      "ec2:DeleteNatGateway",
      "ec2:DeleteRoute",
      "ec2:DeleteRouteTable",
      "ec2:DeleteSecurityGroup",
      "ec2:DeleteSubnet",
      "ec2:DeleteTags",
      "ec2:DeleteVpc",
      "ec2:DeleteVpcEndpoints",
      "ec2:DetachInternetGateway",
      "ec2:DisassociateAddress",
      "ec2:DisassociateRouteTable",
      "ec2:ModifyLaunchTemplate",
      "ec2:ModifySecurityGroupRules",
      "ec2:ModifySubnetAttribute",
      "ec2:ModifyVpcAttribute",
      "ec2:ModifyVpcEndpoint",
      "ec2:ReleaseAddress",
      "ec2:ReplaceRoute",
      "ec2:ReplaceRouteTableAssociation",
      "ec2:RevokeSecurityGroupEgress",
      "ec2:RevokeSecurityGroupIngress",
      "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
      "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
    ]
    resources = ["${local.arn.ec2}:*/*"]

    dynamic "condition" {
      for_each = local.marked

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  # A rule is a resource of its own beside its group. It is not there yet, so it has no tags but those of the request.
  statement {
    sid       = "MakeRules"
    actions   = ["ec2:AuthorizeSecurityGroupEgress", "ec2:AuthorizeSecurityGroupIngress"]
    resources = ["${local.arn.ec2}:security-group-rule/*"]

    dynamic "condition" {
      for_each = local.made

      content {
        test     = "StringEquals"
        variable = condition.key
        values   = [condition.value]
      }
    }
  }

  # Interfaces that MWAA and the resolver make for their caller, and that ECS leaves behind: none has tags of ours, and AWS deletes none that is
  # in use. MWAA says so nowhere in the request (aws:CalledVia has no airflow).
  statement {
    sid     = "InterfacesOfServices"
    actions = ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"]
    resources = [for kind in ["network-interface", "security-group", "subnet"] :
    "${local.arn.ec2}:${kind}/*"]
  }

  # An interface endpoint's private names are a zone of AWS's, which no ARN names beforehand.
  statement {
    sid       = "NameEndpoints"
    actions   = ["route53:AssociateVPCWithHostedZone"]
    resources = ["*"]
  }

  # Auto Scaling asks whether its caller could start the launch template's instances. Which role they get is a matter of iam:PassRole.
  statement {
    sid       = "StartInstancesByTemplate"
    actions   = ["ec2:RunInstances"]
    resources = ["*"]

    condition {
      test     = "ArnLike"
      variable = "ec2:LaunchTemplate"
      values   = ["${local.arn.ec2}:launch-template/*"]
    }
  }
}

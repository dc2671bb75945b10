# The ECS agent's and Session Manager's role. AWS's managed policies for the two reach every cluster and every parameter of
# the account; these name this cluster.

# EC2 sets no source account or source ARN when it assumes an instance's role, so a condition on them would lock it out; who
# may hand the role to an instance is decided by iam:PassRole.
data "aws_iam_policy_document" "instance_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.${data.aws_partition.current.dns_suffix}"]
    }
  }
}

data "aws_iam_policy_document" "instance" {
  #checkov:skip=CKV_AWS_111: until 2027-05-31: Session Manager's channels have no ARN to name
  #checkov:skip=CKV_AWS_356: until 2027-05-31: Session Manager's channels and the agents' endpoint have no ARN to name

  statement {
    sid       = "FindAgentEndpoint"
    actions   = ["ecs:DiscoverPollEndpoint"]
    resources = ["*"]
  }

  statement {
    sid = "JoinCluster"
    actions = [
      "ecs:DeregisterContainerInstance",
      "ecs:RegisterContainerInstance",
      "ecs:SubmitAttachmentStateChanges",
      "ecs:SubmitContainerStateChange",
      "ecs:SubmitTaskStateChange",
    ]
    resources = [local.cluster_arn]
  }

  statement {
    sid       = "WorkForCluster"
    actions   = ["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"]
    resources = ["arn:${local.partition}:ecs:${var.region}:${local.account_id}:container-instance/${var.name}/*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.cluster_arn]
    }
  }

  statement {
    sid       = "ReportToSessionManager"
    actions   = ["ssm:UpdateInstanceInformation"]
    resources = ["arn:${local.partition}:ec2:${var.region}:${local.account_id}:instance/*"]
  }

  statement {
    sid = "OpenSessions"
    actions = [
      "ssmmessages:CreateControlChannel",
      "ssmmessages:CreateDataChannel",
      "ssmmessages:OpenControlChannel",
      "ssmmessages:OpenDataChannel",
    ]
    resources = ["*"]
  }

  # An instance whose agent does not come up says so, and is replaced; else it would stay and count.
  statement {
    sid       = "SayUnhealthy"
    actions   = ["autoscaling:SetInstanceHealth"]
    resources = ["arn:${local.partition}:autoscaling:${var.region}:${local.account_id}:autoScalingGroup:*:autoScalingGroupName/${var.name}"]
  }

  dynamic "statement" {
    for_each = local.launch_hooks

    content {
      sid       = "SayReady"
      actions   = ["autoscaling:CompleteLifecycleAction"]
      resources = ["arn:${local.partition}:autoscaling:${var.region}:${local.account_id}:autoScalingGroup:*:autoScalingGroupName/${var.name}"]
    }
  }
}

locals {
  cluster_arn = "arn:${local.partition}:ecs:${var.region}:${local.account_id}:cluster/${var.name}"
}

resource "aws_iam_role" "instance" {
  name               = "${var.name}-instance"
  description        = "Container instances join their cluster and can be reached by Session Manager"
  assume_role_policy = data.aws_iam_policy_document.instance_trust.json

  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "instance" {
  name   = "join-cluster"
  role   = aws_iam_role.instance.id
  policy = data.aws_iam_policy_document.instance.json
}

resource "aws_iam_instance_profile" "instance" {
  name = "${var.name}-instance"
  role = aws_iam_role.instance.name
}

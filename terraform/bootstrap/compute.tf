# Images, the cluster with its instances, and Airflow.

data "aws_iam_policy_document" "compute" {
  statement {
    sid       = "SignInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "Images"
    actions   = ["ecr:*"]
    resources = ["${local.arn.ecr}:repository/${local.name}/*"]
  }

  # A task definition's revisions are registered and deregistered without a resource.
  statement {
    sid       = "TaskDefinitions"
    actions   = ["ecs:DeregisterTaskDefinition", "ecs:RegisterTaskDefinition"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }

  statement {
    sid = "Cluster"
    actions = [
      "ecs:CreateCapacityProvider",
      "ecs:CreateCluster",
      "ecs:DeleteCapacityProvider",
      "ecs:DeleteCluster",
      "ecs:DeregisterContainerInstance",
      "ecs:DescribeContainerInstances",
      "ecs:DescribeTasks",
      "ecs:ListContainerInstances",
      "ecs:PutClusterCapacityProviders",
      "ecs:StopTask",
      "ecs:TagResource",
      "ecs:UntagResource",
      "ecs:UpdateCapacityProvider",
      "ecs:UpdateCluster",
      "ecs:UpdateClusterSettings",
      "ecs:UpdateContainerInstancesState",
    ]
    resources = [
      "${local.arn.ecs}:capacity-provider/${local.name}",
      "${local.arn.ecs}:cluster/${local.name}",
      "${local.arn.ecs}:container-instance/${local.name}/*",
      "${local.arn.ecs}:task-definition/${local.name}-*",
      "${local.arn.ecs}:task/${local.name}/*",
    ]
  }

  # Lists by cluster, but has no ARN of the cluster to name.
  statement {
    sid       = "ListTasks"
    actions   = ["ecs:ListTasks"]
    resources = ["*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = ["${local.arn.ecs}:cluster/${local.name}"]
    }
  }

  statement {
    sid       = "Instances"
    actions   = ["autoscaling:*"]
    resources = ["${local.arn.autoscaling}:autoScalingGroup:*:autoScalingGroupName/${local.name}"]
  }

  statement {
    sid       = "Airflow"
    actions   = ["airflow:*"]
    resources = ["${local.arn.airflow}:environment/${local.name}", "${local.arn.airflow}:role/${local.name}/*"]
  }
}

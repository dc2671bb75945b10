data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id  = data.aws_caller_identity.current.account_id
  partition   = data.aws_partition.current.partition
  environment = trimprefix(var.name, "winbatch-")
}

resource "aws_ecs_cluster" "cluster" {
  name = var.name

  setting {
    name  = "containerInsights"
    value = var.container_insights
  }

  # Container Insights would make it on its own, without a key and for ever.
  depends_on = [aws_cloudwatch_log_group.insights]
}

resource "aws_cloudwatch_log_group" "insights" {
  name              = "/aws/ecs/containerinsights/${var.name}/performance"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
}

resource "aws_ecs_capacity_provider" "windows" {
  name = var.name

  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.windows.arn
    managed_draining               = "ENABLED"
    managed_termination_protection = var.managed_scaling.enabled ? "ENABLED" : "DISABLED"

    managed_scaling {
      status          = var.managed_scaling.enabled ? "ENABLED" : "DISABLED"
      target_capacity = var.managed_scaling.target_capacity_percent
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "windows" {
  cluster_name       = aws_ecs_cluster.cluster.name
  capacity_providers = [aws_ecs_capacity_provider.windows.name]

  default_capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.windows.name
    weight            = 1
  }
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id  = data.aws_caller_identity.current.account_id
  partition   = data.aws_partition.current.partition
  environment = trimprefix(var.name, "winbatch-")

  # Where each metric lies. The engine's are in dags/winbatch/metrics.py; AWS's are at most a minute old and cost nothing.
  sources = {
    engine = { namespace = "winbatch", dimensions = { environment = local.environment } }
    group  = { namespace = "AWS/AutoScaling", dimensions = { AutoScalingGroupName = var.auto_scaling_group } }
    queue  = { namespace = "AWS/MWAA", dimensions = { Environment = var.mwaa_environment } }
    tasks  = { namespace = "AWS/ECS", dimensions = { ClusterName = var.cluster } }
  }
}

# The engine writes its events here, one stream a job. Nothing else does: an event must be one JSON object to become metrics.
resource "aws_cloudwatch_log_group" "metrics" {
  # A workload's group has no further slash in its name.
  name              = "/winbatch/${local.environment}/engine/metrics"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
}

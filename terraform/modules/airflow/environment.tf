data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition

  # MWAA fixes all of them at 1 for its smallest class.
  least = var.environment_class == "mw1.micro" ? 1 : 2
  scale = {
    max_webservers = coalesce(var.scale.max_webservers, var.scale.min_webservers, local.least)
    max_workers    = coalesce(var.scale.max_workers, max(coalesce(var.scale.min_workers, 1), local.least))
    min_webservers = coalesce(var.scale.min_webservers, local.least)
    min_workers    = coalesce(var.scale.min_workers, 1)
    schedulers     = coalesce(var.scale.schedulers, local.least)
  }

  configuration = merge(
    {
      # A released DAG can be run at once; none of ours has a schedule.
      "core.dags_are_paused_at_creation" = "False"
      # A release is seen within half a minute of its sync.
      "dag_processor.min_file_process_interval" = "30"
      "dag_processor.refresh_interval"          = "30"
      # What a dead worker or scheduler held is taken up again after a minute. The defaults of five minutes are a long time for
      # a job without its engine; work that was claimed goes on meanwhile.
      "scheduler.orphaned_tasks_check_interval"   = "60"
      "scheduler.task_instance_heartbeat_timeout" = "60"
      # The end of an Airflow task is noticed at its next heartbeat. A sensor that is queued again before that has its try taken away
      # (apache/airflow#71172); the default is five seconds.
      "workers.min_heartbeat_interval" = "2"
    },
    var.configuration,
  )
}

resource "aws_mwaa_environment" "mwaa" {
  name                            = var.name
  airflow_version                 = var.airflow_version
  environment_class               = var.environment_class
  airflow_configuration_options   = local.configuration
  execution_role_arn              = aws_iam_role.airflow.arn
  kms_key                         = var.kms_key_arn
  webserver_access_mode           = var.webserver.access_mode
  weekly_maintenance_window_start = "SUN:03:00"

  source_bucket_arn                = var.buckets.dags.arn
  dag_s3_path                      = "dags/"
  requirements_s3_path             = aws_s3_object.requirements.key
  requirements_s3_object_version   = aws_s3_object.requirements.version_id
  startup_script_s3_path           = one(aws_s3_object.startup_script[*].key)
  startup_script_s3_object_version = one(aws_s3_object.startup_script[*].version_id)

  max_webservers = local.scale.max_webservers
  max_workers    = local.scale.max_workers
  min_webservers = local.scale.min_webservers
  min_workers    = local.scale.min_workers
  schedulers     = local.scale.schedulers

  logging_configuration {
    dag_processing_logs {
      enabled   = true
      log_level = var.log_level
    }

    scheduler_logs {
      enabled   = true
      log_level = var.log_level
    }

    task_logs {
      enabled   = true
      log_level = var.log_level
    }

    webserver_logs {
      enabled   = true
      log_level = var.log_level
    }

    worker_logs {
      enabled   = true
      log_level = var.log_level
    }
  }

  network_configuration {
    security_group_ids = [aws_security_group.airflow.id]
    subnet_ids         = slice(values(var.private_subnet_ids), 0, 2)
  }

  # MWAA tries all of these while it starts, and gives up after most of an hour.
  depends_on = [
    aws_cloudwatch_log_group.airflow,
    aws_iam_role_policy.airflow,
    aws_vpc_security_group_egress_rule.https,
    aws_vpc_security_group_egress_rule.self,
    aws_vpc_security_group_ingress_rule.page,
    aws_vpc_security_group_ingress_rule.self,
  ]
}

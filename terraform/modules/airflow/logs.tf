# MWAA would make them on its own, without a key, for ever, and leave them behind.
resource "aws_cloudwatch_log_group" "airflow" {
  for_each = toset(["DAGProcessing", "Scheduler", "Task", "WebServer", "Worker"])

  name              = "airflow-${var.name}-${each.value}"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
}

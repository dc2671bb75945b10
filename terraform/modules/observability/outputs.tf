output "dashboard" {
  description = "The dashboard's name."
  value       = aws_cloudwatch_dashboard.dashboard.dashboard_name
}

output "log_group" {
  description = "The log group of the engine's metrics."
  value       = aws_cloudwatch_log_group.metrics.name
}

output "topic_arn" {
  description = "The topic that people subscribe to."
  value       = aws_sns_topic.alarms.arn

  depends_on = [aws_sns_topic_policy.alarms]
}

output "environment" {
  description = "The MWAA environment's name."
  value       = aws_mwaa_environment.mwaa.name
}

output "log_groups" {
  description = "Airflow's log groups."
  value       = [for group in aws_cloudwatch_log_group.airflow : group.name]
}

output "webserver_url" {
  description = "The Airflow page."
  value       = "https://${aws_mwaa_environment.mwaa.webserver_url}"
}

output "airflow_webserver_url" {
  description = "The Airflow page."
  value       = module.airflow.webserver_url
}

output "alarm_topic" {
  description = "The ARN of the topic that alarms and the budget go to."
  value       = module.observability.topic_arn
}

output "cluster" {
  description = "The ECS cluster's name."
  value       = module.cluster.name
}

output "dashboard" {
  description = "The CloudWatch dashboard's name."
  value       = module.observability.dashboard
}

output "dags_bucket" {
  description = "The bucket that DAGs are released to."
  value       = module.storage.buckets.dags.name
}

output "data_bucket" {
  description = "The bucket of jobs and results."
  value       = module.storage.buckets.data.name
}

output "deployment" {
  description = "The content of deployment.json."
  value       = local.deployment
}

output "ecr_repositories" {
  description = "The repository URL of each workload whose image is pushed here."
  value       = { for workload, repository in module.registry.repositories : workload => repository.url }
}

output "image_builder" {
  description = "The pipeline that bakes AMIs and the parameter that names the newest; null without one."
  value       = one([for builder in module.image_builder : { parameter = builder.parameter, pipeline_arn = builder.pipeline_arn }])
}

output "log_groups" {
  description = "The names of all log groups."
  value       = sort(concat(module.network.log_groups, module.cluster.log_groups, module.airflow.log_groups, [module.observability.log_group]))
}

output "mwaa_environment" {
  description = "The MWAA environment's name."
  value       = module.airflow.environment
}

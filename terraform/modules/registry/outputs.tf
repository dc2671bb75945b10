output "repositories" {
  description = "The repositories by workload: `arn` and `url`."
  value       = { for workload, repository in aws_ecr_repository.repository : workload => { arn = repository.arn, url = repository.repository_url } }
}

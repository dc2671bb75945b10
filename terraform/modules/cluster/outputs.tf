output "auto_scaling_group" {
  description = "The Auto Scaling group's name."
  value       = aws_autoscaling_group.windows.name
}

output "capacity_provider" {
  description = "The capacity provider's name. Whoever uses it finds it attached to the cluster."
  value       = aws_ecs_capacity_provider.windows.name

  depends_on = [aws_ecs_cluster_capacity_providers.windows]
}

output "instance_security_group_id" {
  description = "The security group of the container instances."
  value       = aws_security_group.instances.id
}

output "instance_types" {
  description = "The instance types with what they offer and cost: `type`, `vcpus`, `memory_mib`, `network_interfaces`, `usd_per_hour` (null without a price)."
  value = [
    for type in var.instance_types : {
      type               = type
      vcpus              = data.aws_ec2_instance_type.type[type].default_vcpus
      memory_mib         = data.aws_ec2_instance_type.type[type].memory_size
      network_interfaces = data.aws_ec2_instance_type.type[type].maximum_network_interfaces
      usd_per_hour       = lookup(var.usd_per_hour, type, null)
    }
  ]
}

output "log_groups" {
  description = "All log groups of the cluster."
  value       = concat([aws_cloudwatch_log_group.insights.name], [for group in aws_cloudwatch_log_group.workload : group.name])
}

output "name" {
  description = "The cluster's name."
  value       = aws_ecs_cluster.cluster.name
}

output "role_arns" {
  description = "The roles that whoever starts ECS tasks passes on."
  value       = concat([aws_iam_role.execution.arn, aws_iam_role.task.arn], [for role in aws_iam_role.workload : role.arn])
}

output "task_security_group_id" {
  description = "The security group of ECS tasks."
  value       = aws_security_group.tasks.id
}

output "workloads" {
  description = "The runnable workloads, as `deployment.json` lists them. Whoever runs them finds their roles ready."
  value = {
    for workload, definition in aws_ecs_task_definition.workload : workload => {
      task_definition   = definition.arn
      container         = workload
      cpu               = var.workloads[workload].cpu
      memory            = var.workloads[workload].memory
      image             = var.images[workload]
      log_group         = aws_cloudwatch_log_group.workload[workload].name
      log_stream_prefix = workload
      dags              = var.workloads[workload].dags
      inputs            = var.workloads[workload].inputs
    }
  }

  depends_on = [aws_iam_role_policy.execution, aws_iam_role_policy.workload]
}

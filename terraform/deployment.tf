data "aws_caller_identity" "current" {}

# The contract with the DAGs and with Python; docs/architecture.md describes it.
locals {
  deployment = {
    schema      = 1
    environment = var.environment
    region      = var.region
    account_id  = data.aws_caller_identity.current.account_id
    dags_bucket = module.storage.buckets.dags.name
    dags_prefix = "dags"
    data_bucket = module.storage.buckets.data.name
    # Roles may read and write below these and nowhere else.
    data_prefixes = var.data_prefixes
    # Names and not outputs: deployment.json must not wait half an hour for MWAA.
    airflow = { environment = local.name, version = var.airflow.version }
    cluster = {
      name               = module.cluster.name
      capacity_provider  = module.cluster.capacity_provider
      auto_scaling_group = module.cluster.auto_scaling_group
      max_instances      = var.cluster.max_instances
      subnets            = values(module.network.private_subnet_ids)
      security_groups    = [module.cluster.task_security_group_id]
      instance_types     = module.cluster.instance_types
    }
    metrics_log_group = module.observability.log_group
    workloads         = module.cluster.workloads
  }
}

data "aws_partition" "current" {}

locals {
  name = "winbatch-${var.environment}"

  permissions_boundary_arn = (
    var.permissions_boundary == null ? null :
    "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:policy/${var.permissions_boundary}"
  )

  tags = merge(var.tags, {
    environment = var.environment
    managed-by  = "terraform"
    root        = "winbatch"
  })

  # A digest wins by being there: a workload with an image of its own takes none.
  images = merge(
    { for workload, size in var.workloads : workload => size.image if size.image != null },
    { for workload, digest in var.image_digests : workload => "${module.registry.repositories[workload].url}@${digest}" },
  )

  # What is read beside one's own jobs lies in a folder of each prefix for results, unless the workload says where.
  inputs = [for prefix in var.data_prefixes : "${prefix}/inputs" if prefix != "jobs"]
  workloads = {
    for workload, size in var.workloads : workload => {
      cpu         = size.cpu
      dags        = lookup(var.workload_dags, workload, [])
      environment = size.environment
      inputs      = coalesce(size.inputs, local.inputs)
      memory      = size.memory
    }
  }

  # What the agents ask for the share's address, and for whom to mount it as.
  share_endpoints = var.shared_storage == null ? [] : ["fsx", strcontains(var.shared_storage.credentials_arn, ":ssm:") ? "ssm" : "secretsmanager"]
  share = [
    for storage in module.shared_storage : {
      container_path          = var.shared_storage.container_path
      credentials_arn         = var.shared_storage.credentials_arn
      credentials_kms_key_arn = var.shared_storage.credentials_kms_key_arn
      domain                  = storage.domain
      file_system_id          = storage.file_system_id
    }
  ]

  # What the instance that bakes AMIs asks, and where its program and its components of AWS's come from.
  builder_endpoints = var.image_builder == null ? [] : ["imagebuilder"]
  builder_buckets   = var.image_builder == null ? [] : [for what in ["managed-resources", "toe"] : "ec2imagebuilder-${what}-${var.region}-prod"]

  # Field by field, so that nothing waits for all of the network.
  host_network = {
    https_destinations = module.network.https_destinations
    private_subnet_ids = module.network.private_subnet_ids
    vpc_id             = module.network.vpc_id
  }
}

module "network" {
  source = "./modules/network"

  name               = local.name
  region             = var.region
  egress             = var.network.egress
  existing           = var.network.existing
  further_buckets    = setunion(var.network.further_buckets, local.builder_buckets)
  further_endpoints  = setunion(var.network.further_endpoints, local.share_endpoints, local.builder_endpoints)
  kms_key_arn        = module.storage.kms_key_arn
  log_retention_days = var.log_retention_days
  vpc_cidr           = var.network.vpc_cidr
  zones              = var.network.zones

  permissions_boundary_arn = local.permissions_boundary_arn
}

module "storage" {
  source = "./modules/storage"

  name               = local.name
  region             = var.region
  access_log_days    = var.storage.access_log_days
  data_prefixes      = var.data_prefixes
  force_destroy      = var.force_destroy
  job_retention_days = var.storage.job_retention_days
  key_deletion_days  = var.storage.key_deletion_days
  old_version_days   = var.storage.old_version_days
}

module "shared_storage" {
  source = "./modules/shared_storage"
  count  = var.shared_storage == null ? 0 : 1

  name                       = local.name
  active_directory           = var.shared_storage.active_directory
  backup_days                = var.shared_storage.backup_days
  force_destroy              = var.force_destroy
  forward_dns                = var.shared_storage.forward_dns
  instance_security_group_id = module.cluster.instance_security_group_id
  kms_key_arn                = module.storage.kms_key_arn
  multi_zone                 = var.shared_storage.multi_zone
  private_subnet_ids         = module.network.private_subnet_ids
  size_gib                   = var.shared_storage.size_gib
  throughput_mib             = var.shared_storage.throughput_mib
  vpc_id                     = module.network.vpc_id
}

module "registry" {
  source = "./modules/registry"

  name          = local.name
  force_destroy = var.force_destroy
  kms_key_arn   = module.storage.kms_key_arn
  workloads     = [for workload, size in var.workloads : workload if size.image == null]
}

module "cluster" {
  source = "./modules/cluster"

  name               = local.name
  region             = var.region
  tags               = local.tags
  agent              = { environment = var.cluster.agent_environment, reserved_memory_mib = var.cluster.reserved_memory_mib }
  container_insights = var.cluster.container_insights
  data               = { bucket_arn = module.storage.buckets.data.arn, prefixes = var.data_prefixes }
  data_volume        = var.cluster.data_volume
  images             = local.images
  instance_types     = var.cluster.instance_types
  kms_key_arn        = module.storage.kms_key_arn
  log_retention_days = var.log_retention_days
  managed_scaling    = var.cluster.managed_scaling
  max_instances      = var.cluster.max_instances
  network            = local.host_network
  purchase           = var.cluster.purchase
  repository_arns    = [for repository in module.registry.repositories : repository.arn]
  root_volume        = var.cluster.root_volume
  shared_storage     = one(local.share)
  usd_per_hour       = var.cluster.usd_per_hour
  warm_pool          = var.cluster.warm_pool
  windows            = var.cluster.windows
  workloads          = local.workloads

  permissions_boundary_arn = local.permissions_boundary_arn
}

module "image_builder" {
  source = "./modules/image_builder"
  count  = var.image_builder == null ? 0 : 1

  name            = local.name
  region          = var.region
  tags            = local.tags
  images          = local.images
  instance_type   = var.image_builder.instance_type
  kms_key_arn     = module.storage.kms_key_arn
  log_bucket      = module.storage.buckets.data
  network         = local.host_network
  repository_arns = [for repository in module.registry.repositories : repository.arn]
  schedule        = var.image_builder.schedule
  volume_gib      = var.cluster.root_volume == null ? null : var.cluster.root_volume.size_gib
  windows         = var.cluster.windows

  permissions_boundary_arn = local.permissions_boundary_arn
}

module "airflow" {
  source = "./modules/airflow"

  name                     = local.name
  region                   = var.region
  airflow_version          = var.airflow.version
  buckets                  = module.storage.buckets
  configuration            = var.airflow.configuration
  data_prefixes            = var.data_prefixes
  deployment               = jsonencode(local.deployment)
  environment_class        = var.airflow.environment_class
  https_destinations       = module.network.https_destinations
  kms_key_arn              = module.storage.kms_key_arn
  log_level                = var.airflow.log_level
  log_retention_days       = var.log_retention_days
  metrics_log_group        = module.observability.log_group
  permissions_boundary_arn = local.permissions_boundary_arn
  private_subnet_ids       = module.network.private_subnet_ids
  scale                    = var.airflow.scale
  startup_script           = var.airflow.startup_script
  vpc_id                   = module.network.vpc_id
  webserver                = var.airflow.webserver

  # Names and not outputs, as far as that goes: Airflow need not wait for the cluster.
  workers = {
    auto_scaling_group = local.name
    cluster            = local.name
    families           = [for workload in keys(var.workloads) : "${local.name}-${workload}"]
    role_arns          = module.cluster.role_arns
  }
}

module "observability" {
  source = "./modules/observability"

  name               = local.name
  region             = var.region
  alarm_minutes      = var.observability.alarm_minutes
  auto_scaling_group = module.cluster.auto_scaling_group
  backstop           = var.observability.backstop
  budget             = var.observability.budget
  cluster            = module.cluster.name
  emails             = var.observability.emails
  kms_key_arn        = module.storage.kms_key_arn
  log_retention_days = var.log_retention_days
  # Names and not outputs: alarms must not wait half an hour for MWAA.
  mwaa_environment = local.name
  # But for the scheduler's, which would be one until then.
  scheduler_environment = module.airflow.environment
  usd_per_hour          = try(max([for type in module.cluster.instance_types : type.usd_per_hour if type.usd_per_hour != null]...), null)
  webhooks              = var.observability.webhooks
}

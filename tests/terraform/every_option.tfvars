# Every option that is off by default, on: read after environments/local.tfvars, whose values it replaces.

data_prefixes        = ["jobs", "sim", "team/other"]
log_retention_days   = 731
permissions_boundary = "deployment/winbatch-local-boundary"
tags                 = { cost-centre = "4711" }

storage = {
  access_log_days    = 30
  job_retention_days = 30
  key_deletion_days  = 7
  old_version_days   = 7
}

# The other ways out are planned with dev.tfvars and tested with a mocked provider.
network = {
  egress            = "endpoints"
  further_buckets   = ["somebodys-inputs"]
  further_endpoints = ["secretsmanager"]
  vpc_cidr          = "10.20.0.0/18"
  zones             = ["a", "b", "c"]
}

airflow = {
  configuration     = { "core.parallelism" = "64" }
  environment_class = "mw1.small"
  log_level         = "WARNING"
  scale             = { max_webservers = 3, max_workers = 3, min_webservers = 2, min_workers = 1, schedulers = 2 }
  startup_script    = "#!/bin/sh\ntrue\n"
  version           = "3.2.1"
  webserver         = { access_mode = "PRIVATE_ONLY", cidrs = { vpn = "10.99.0.0/16" } }
}

# A warm pool has no Spot instances: dev.tfvars plans those. Image Builder and the Windows share are tested with a mocked provider.
cluster = {
  agent_environment   = { ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION = "30m" }
  container_insights  = "enhanced"
  data_volume         = { iops = 4000, size_gib = 100, source = "ebs", throughput_mib = 250, use = "docker" }
  instance_types      = ["c5.xlarge", "c5.2xlarge", "m5.xlarge"]
  managed_scaling     = { enabled = true, target_capacity_percent = 90 }
  max_instances       = 20
  reserved_memory_mib = 2048
  root_volume         = { initialization_rate_mib = 200, iops = 4000, size_gib = 150, throughput_mib = 500 }
  usd_per_hour        = { "c5.xlarge" = 0.378 }
  warm_pool           = { max_prepared = 3, min_size = 1, state = "Stopped" }
  windows             = { edition = "Full", version = "2019" }
}

observability = {
  budget   = { usd_per_month = 10 }
  emails   = ["batch-team@example.com"]
  webhooks = ["https://example.com/alarms"]
}

workload_dags = { ber = ["ber"], own = ["theirs"] }

workloads = {
  ber = { cpu = 2048, environment = { THREADS = "2" }, inputs = ["sim/inputs/ber"], memory = 4096 }
  own = {
    cpu    = 1024
    image  = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/theirs@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
    inputs = ["team/other/inputs"]
    memory = 2048
  }
}

# Production: no way to the internet, three zones, nothing is deleted by accident.

environment = "prod"
region      = "eu-central-1"

force_destroy      = false
log_retention_days = 731

storage = {
  access_log_days   = 365
  key_deletion_days = 30
  old_version_days  = 90
}

network = {
  egress = "endpoints"
  zones  = ["a", "b", "c"]
}

airflow = {
  version           = "3.2.1"
  environment_class = "mw1.small"
  scale             = { max_workers = 5 }
  # As in dev.
  webserver = { access_mode = "PRIVATE_ONLY", api_only = true }
}

cluster = {
  container_insights = "enabled"
  instance_types     = ["c5.xlarge", "c5a.xlarge", "c6i.xlarge"]
  max_instances      = 100
  purchase           = { on_demand_base = 2, on_demand_percentage = 50 }
  # On-Demand with Windows: the region's price for Linux and 0.046 US dollars an hour for each vCPU. Spot costs less, so what is shown
  # is the most that it can be. No price is known for c5a: it counts as the dearest of the others.
  usd_per_hour = { "c5.xlarge" = 0.378, "c6i.xlarge" = 0.378 }
}

# Nobody is subscribed to the alarms: name `emails` or `webhooks`.
observability = {
  backstop = { idle_minutes = 45 }
  budget   = { usd_per_month = 3000 }
}

workloads = {
  ber        = { cpu = 4096, memory = 6144 }
  ber-octave = { cpu = 4096, memory = 6144 }
  tools      = { cpu = 4096, memory = 6144 }
}

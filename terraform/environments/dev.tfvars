# A shared account for trying things out: small, cheap while idle, everything goes with destroy.

environment = "dev"
region      = "eu-central-1"

force_destroy      = true
log_retention_days = 365

storage = {
  access_log_days    = 30
  job_retention_days = 30
  key_deletion_days  = 7
  old_version_days   = 7
}

# One NAT gateway costs less a month than the interface endpoints of two zones.
network = {
  egress = "nat"
}

airflow = {
  version           = "3.2.1"
  environment_class = "mw1.micro"
  # The verbs need no way to the page. Who wants to see it: cidrs = { vpn = "…" }, see modules/airflow/README.md.
  webserver = { access_mode = "PRIVATE_ONLY", api_only = true }
}

cluster = {
  container_insights = "enabled"
  instance_types     = ["c5.xlarge", "c5a.xlarge", "c6i.xlarge"]
  max_instances      = 10
  purchase           = { on_demand_percentage = 0 }
  # On-Demand with Windows: the region's price for Linux and 0.046 US dollars an hour for each vCPU. Spot costs less, so what is shown
  # is the most that it can be. No price is known for c5a: it counts as the dearest of the others.
  usd_per_hour = { "c5.xlarge" = 0.378, "c6i.xlarge" = 0.378 }
}

# Nobody is subscribed to the alarms: name `emails` or `webhooks`.
observability = {
  budget = { usd_per_month = 300 }
}

workloads = {
  ber        = { cpu = 4096, memory = 6144 }
  ber-octave = { cpu = 4096, memory = 6144 }
  tools      = { cpu = 4096, memory = 6144 }
}

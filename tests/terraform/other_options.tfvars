# Options that rule out what stands in every_option.tfvars: read after it, whose values they replace.

network = {
  egress   = "nat_per_zone"
  vpc_cidr = "10.20.0.0/18"
  zones    = ["a", "b", "c"]
}

# All Spot: without a warm pool, and launched at once by LaunchInstances.
cluster = {
  agent_environment  = { ECS_ENGINE_TASK_CLEANUP_WAIT_DURATION = "30m" }
  container_insights = "enabled"
  data_volume        = { size_gib = 100, source = "ebs", use = "docker" }
  instance_types     = ["c5.xlarge", "c5a.xlarge"]
  managed_scaling    = { enabled = false }
  max_instances      = 10
  purchase           = { on_demand_percentage = 0, spot_strategy = "capacity-optimized" }
  usd_per_hour       = { "c5.xlarge" = 0.378 }
  windows            = { edition = "Core", version = "2022" }
}

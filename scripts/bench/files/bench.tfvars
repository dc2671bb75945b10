# The environment of `make bench`: these values in place of the local environment's. Workloads that sleep beside the others,
# room for a mapped operator's 24 ECS tasks, and an Airflow slot for each of them. `@…@` is filled in.

airflow = {
  version           = "@version@"
  environment_class = "mw1.micro"
  webserver         = { api_only = true }
  # A class of 24 slots would bring a second scheduler, which two cores have no room for.
  configuration = { "celery.worker_autoscale" = "24,24" }
}

cluster = {
  container_insights = "enabled"
  instance_types     = ["c5.xlarge"]
  max_instances      = 18
  usd_per_hour       = { "c5.xlarge" = 0.378 }
}

workloads = {
  # As the main workload: one ECS task an instance, four slots in it.
  bench = { cpu = 4096, memory = 6144, image = "@bench@" }
  # An ECS task a shard. A c5.xlarge has network interfaces for three of them.
  sleep = { cpu = 1024, memory = 512, image = "@sleep@" }
@workloads@
}

# The environment of `make bench`: the local one with the workloads that sleep, room for a mapped operator's 24 ECS
# tasks, and an Airflow slot for each of them. `@…@` are the digests of the images.

environment = "local"
region      = "eu-central-1"

aws_provider = {
  max_retries                 = 2
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
}

force_destroy = true

storage = {
  job_retention_days = 7
  key_deletion_days  = 7
  old_version_days   = 1
}

airflow = {
  version           = "3.0.6"
  environment_class = "mw1.micro"
  webserver         = { api_only = true }
  # A class of 24 slots would bring a second scheduler, which two cores have no room for.
  configuration = { "celery.worker_autoscale" = "24,24" }
}

cluster = {
  instance_types = ["c5.xlarge"]
  max_instances  = 18
}

workloads = {
  # As the main workload: one ECS task an instance, four slots in it.
  bench = { cpu = 4096, memory = 6144, image = "@bench@" }
  # An ECS task a shard. A c5.xlarge has network interfaces for three of them.
  sleep = { cpu = 1024, memory = 512, image = "@sleep@" }
}

# The emulator on one machine. The same root as everywhere; only these values differ.

environment = "local"
region      = "eu-central-1"

aws_provider = {
  # An emulator that fails a call fails it again.
  max_retries                 = 2
  s3_use_path_style           = true
  skip_credentials_validation = true
  skip_metadata_api_check     = true
}

force_destroy = true

storage = {
  access_log_days    = 7
  job_retention_days = 7
  key_deletion_days  = 7
  old_version_days   = 1
}

airflow = {
  version           = "3.2.1"
  environment_class = "mw1.micro"
  # Whoever is on this machine reaches the page; no rule lets anybody else in.
  webserver = { access_mode = "PRIVATE_ONLY", api_only = true }
}

cluster = {
  container_insights = "enabled"
  instance_types     = ["c5.xlarge"]
  max_instances      = 6
  # On-Demand with Windows: the region's price for Linux and 0.046 US dollars an hour for each vCPU.
  usd_per_hour = { "c5.xlarge" = 0.378 }
}

observability = {
  budget = { usd_per_month = 10 }
  emails = ["batch-team@example.com"]
}

workloads = {
  ber        = { cpu = 4096, memory = 6144 }
  ber-octave = { cpu = 4096, memory = 6144 }
  tools      = { cpu = 4096, memory = 6144 }
}

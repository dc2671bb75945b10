# What the emulator lacks: planned on top of every_option.tfvars, so that its policies are looked at, and never applied.

image_builder = { schedule = "cron(0 3 ? * sun *)" }

shared_storage = {
  active_directory = {
    self_managed = {
      dns_ips         = ["10.20.0.10", "10.20.16.10"]
      domain          = "corp.example.com"
      join_secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:winbatch-local-join-AbCdEf"
    }
  }
  credentials_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:winbatch-local-share-AbCdEf"
}

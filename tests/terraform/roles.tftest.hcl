# Not one of the native tests: test_authorization.py runs it to have every policy document with all its values.

mock_provider "aws" {
  source = "./tests/mocks"
}

# The longest that there are: IAM bounds a policy's characters.
variables {
  environment = "environments"
  region      = "ap-southeast-1"
}

override_data {
  target = module.network.data.aws_availability_zones.wanted
  values = { names = ["ap-southeast-1a", "ap-southeast-1b"] }
}

# MWAA takes subnets that differ.
override_resource {
  target = module.network.aws_subnet.private["a"]
  values = { id = "subnet-0a" }
}

override_resource {
  target = module.network.aws_subnet.private["b"]
  values = { id = "subnet-0b" }
}

run "root" {
  variables {
    airflow = { webserver = { api_only = true } }
    cluster = {
      instance_types = ["c5.xlarge"]
      max_instances  = 3
      warm_pool      = { max_prepared = 2 }
    }
    image_builder        = { schedule = "cron(0 3 ? * sun *)" }
    image_digests        = { ber = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
    network              = { egress = "endpoints" }
    permissions_boundary = "deployment/winbatch-environments-boundary"
    shared_storage = {
      active_directory        = { managed_directory_id = "d-0123456789" }
      credentials_arn         = "arn:aws-cn:secretsmanager:ap-southeast-1:123456789012:secret:winbatch-environments-share-AbCdEf"
      credentials_kms_key_arn = "arn:aws-cn:kms:ap-southeast-1:123456789012:key/00000000-0000-0000-0000-000000000001"
    }
    workload_dags = { ber = [for number in range(8) : "a-dag-of-thirty-two-characters-${number}"] }
    workloads     = { ber = { cpu = 2048, memory = 4096 } }
  }
}

run "bootstrap" {
  module {
    source = "./bootstrap"
  }

  variables {
    github       = { repository = "acme/winbatch" }
    state_bucket = "acme-winbatch-environments-tfstate"
  }
}

# The file system was never made: this mocked provider is all that has seen it.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                       = "winbatch-test"
  active_directory           = { managed_directory_id = "d-0123456789" }
  instance_security_group_id = "sg-0aaaaaaaaaaaaaaaa"
  kms_key_arn                = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  private_subnet_ids         = { a = "subnet-0a", b = "subnet-0b", c = "subnet-0c" }
  vpc_id                     = "vpc-0123456789abcdef0"
}

run "refusals" {
  command = plan

  module {
    source = "./modules/shared_storage"
  }

  variables {
    active_directory = { managed_directory_id = "corp.example.com" }
    backup_days      = 91
    size_gib         = 16
    throughput_mib   = 100
  }

  expect_failures = [var.active_directory, var.backup_days, var.size_gib, var.throughput_mib]
}

run "two_directories" {
  command = plan

  module {
    source = "./modules/shared_storage"
  }

  variables {
    active_directory = {
      managed_directory_id = "d-0123456789"
      self_managed         = { dns_ips = ["10.1.0.10"], domain = "ad.example.com", join_secret_arn = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:join-AbCdEf" }
    }
  }

  expect_failures = [var.active_directory]
}

run "password_instead_of_its_secret" {
  command = plan

  module {
    source = "./modules/shared_storage"
  }

  variables {
    active_directory = { self_managed = { dns_ips = ["10.1.0.10"], domain = "ad.example.com", join_secret_arn = "hunter2" } }
  }

  expect_failures = [var.active_directory]
}

run "domain_of_one_word" {
  command = plan

  module {
    source = "./modules/shared_storage"
  }

  variables {
    active_directory = { self_managed = { dns_ips = ["10.1.0.10"], domain = "corp", join_secret_arn = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:join-AbCdEf" } }
  }

  expect_failures = [var.active_directory]
}

run "dns_server_by_its_name" {
  command = plan

  module {
    source = "./modules/shared_storage"
  }

  variables {
    active_directory = { self_managed = { dns_ips = ["dns.example.com"], domain = "ad.example.com", join_secret_arn = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:join-AbCdEf" } }
  }

  expect_failures = [var.active_directory]
}

# A run breaks one rule of many variables at once, because each run starts the provider anew.
run "what_no_other_module_hands_over" {
  command = plan

  module {
    source = "./modules/shared_storage"
  }

  variables {
    instance_security_group_id = "default"
    kms_key_arn                = "alias/winbatch-test"
    name                       = "winbatch-my-env"
    private_subnet_ids         = { a = "subnet-0a" }
    vpc_id                     = "my-vpc"
  }

  expect_failures = [
    var.instance_security_group_id,
    var.kms_key_arn,
    var.name,
    var.private_subnet_ids,
    var.vpc_id,
  ]
}

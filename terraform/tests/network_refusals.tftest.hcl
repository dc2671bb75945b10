mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "winbatch-test"
  region             = "cn-north-1"
  kms_key_arn        = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_retention_days = 365
}

# Somebody else's subnets.
override_data {
  target = data.aws_subnet.existing["a"]
  values = { availability_zone = "cn-north-1a", cidr_block = "10.9.0.0/24", id = "subnet-0a", map_public_ip_on_launch = false, vpc_id = "vpc-0a" }
}

override_data {
  target = data.aws_subnet.existing["b"]
  values = { availability_zone = "cn-north-1b", cidr_block = "10.9.1.0/24", id = "subnet-0b", map_public_ip_on_launch = false, vpc_id = "vpc-0a" }
}

run "existing_network_without_dns_and_with_wrong_subnets" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    egress   = "existing"
    existing = { vpc_id = "vpc-0a", subnet_ids = { a = "subnet-0a", b = "subnet-0b", c = "subnet-0c" } }
  }

  override_data {
    target = data.aws_vpc.existing
    values = { enable_dns_hostnames = false, enable_dns_support = true }
  }

  override_data {
    target = data.aws_subnet.existing["a"]
    values = { availability_zone = "cn-north-1a", map_public_ip_on_launch = false, vpc_id = "vpc-0f" }
  }

  override_data {
    target = data.aws_subnet.existing["b"]
    values = { availability_zone = "cn-north-1a", map_public_ip_on_launch = false, vpc_id = "vpc-0a" }
  }

  override_data {
    target = data.aws_subnet.existing["c"]
    values = { availability_zone = "cn-north-1c", map_public_ip_on_launch = true, vpc_id = "vpc-0a" }
  }

  expect_failures = [
    data.aws_vpc.existing,
    data.aws_subnet.existing["a"],
    data.aws_subnet.existing["b"],
    data.aws_subnet.existing["c"],
  ]
}

run "refusals" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    egress            = "vpn"
    further_buckets   = ["arn:aws-cn:s3:::mine"]
    further_endpoints = ["com.amazonaws.cn-north-1.fsx"]
    vpc_cidr          = "10.0.0.0/24"
    zones             = ["a"]
  }

  expect_failures = [var.egress, var.further_buckets, var.further_endpoints, var.vpc_cidr, var.zones]
}

# A rule that looks at another variable is not asked while that one is refused.
run "existing_network_by_its_addresses" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    existing = { vpc_id = "10.0.0.0/16", subnet_ids = { a = "subnet-0a", b = "subnet-0b" } }
  }

  expect_failures = [var.existing]
}

run "existing_without_ids" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    egress = "existing"
  }

  expect_failures = [var.egress]
}

run "nat_in_an_existing_network" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    egress   = "nat"
    existing = { vpc_id = "vpc-0a", subnet_ids = { a = "subnet-0a", b = "subnet-0b" } }
  }

  expect_failures = [var.egress]
}

run "endpoints_in_an_existing_network_without_its_route_tables" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    existing = { vpc_id = "vpc-0a", subnet_ids = { a = "subnet-0a", b = "subnet-0b" } }
  }

  expect_failures = [var.egress]
}

run "existing_subnets_in_one_zone" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    egress   = "existing"
    existing = { vpc_id = "vpc-0a", subnet_ids = { a = "subnet-0a" } }
  }

  expect_failures = [var.existing]
}

run "zones_by_their_full_names" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zones = ["cn-north-1a", "cn-north-1b"]
  }

  expect_failures = [var.zones]
}

run "zone_that_the_region_has_not" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    zones = ["a", "f"]
  }

  expect_failures = [aws_subnet.private["f"]]
}

# A run breaks one rule of many variables at once, because each run starts the provider anew.
run "what_no_other_module_hands_over" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    kms_key_arn              = "alias/winbatch-test"
    log_retention_days       = 0
    name                     = "winbatch-my-env"
    permissions_boundary_arn = "winbatch-test-boundary"
    region                   = "cn-north-1a"
  }

  expect_failures = [
    var.kms_key_arn,
    var.log_retention_days,
    var.name,
    var.permissions_boundary_arn,
    var.region,
  ]
}

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

run "existing_network_with_a_way_out" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    egress   = "existing"
    existing = { vpc_id = "vpc-0a", subnet_ids = { a = "subnet-0a", b = "subnet-0b" } }
  }

  assert {
    condition     = output.private_subnet_ids == { a = "subnet-0a", b = "subnet-0b" }
    error_message = "Everything goes into the subnets that are named."
  }

  assert {
    condition     = length(aws_vpc.vpc) + length(aws_subnet.private) + length(aws_route_table.private) + length(aws_vpc_endpoint.s3) + length(aws_vpc_endpoint.interface) + length(aws_nat_gateway.nat) + length(aws_flow_log.vpc) + length(aws_default_security_group.none) == 0
    error_message = "In a network that has everything nothing is made."
  }

  assert {
    condition     = keys(output.https_destinations) == ["internet"] && output.log_groups == []
    error_message = "HTTPS goes wherever that network lets it."
  }
}

run "existing_network_with_endpoints" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    egress   = "endpoints"
    existing = { vpc_id = "vpc-0a", subnet_ids = { a = "subnet-0a", b = "subnet-0b" }, route_table_ids = ["rtb-0a"] }
  }

  assert {
    condition     = aws_vpc_endpoint.interface["ecs"].subnet_ids == toset(["subnet-0a", "subnet-0b"]) && aws_vpc_endpoint.s3[0].route_table_ids == toset(["rtb-0a"])
    error_message = "Endpoints lie in the subnets that are named, and S3's route in their tables."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.endpoints_https["b"].cidr_ipv4 == "10.9.1.0/24" && keys(output.https_destinations) == ["endpoints", "s3"]
    error_message = "Endpoints take HTTPS from those subnets."
  }
}

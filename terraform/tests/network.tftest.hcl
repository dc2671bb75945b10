mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "winbatch-test"
  region             = "cn-north-1"
  kms_key_arn        = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_retention_days = 365
}

run "endpoints" {
  command = plan

  module {
    source = "./modules/network"
  }

  assert {
    condition     = keys(output.private_subnet_ids) == ["a", "b"]
    error_message = "Subnets are named by their zone's letter."
  }

  assert {
    condition     = aws_subnet.private["b"].availability_zone == "cn-north-1b" && aws_subnet.private["b"].cidr_block == "10.0.16.0/20"
    error_message = "Each zone has a sixteenth of the VPC."
  }

  assert {
    condition     = aws_vpc_endpoint.interface["ecr.api"].service_name == "cn.com.amazonaws.cn-north-1.ecr.api"
    error_message = "An endpoint's service is named as its partition names it."
  }

  assert {
    condition     = length(aws_nat_gateway.nat) == 0 && length(aws_internet_gateway.internet) == 0 && length(aws_subnet.public) == 0
    error_message = "With endpoints there is no way to the internet."
  }

  assert {
    condition     = keys(output.https_destinations) == ["endpoints", "s3"]
    error_message = "With endpoints nothing but them and S3 is reached."
  }

  assert {
    condition     = !anytrue([for subnet in aws_subnet.private : subnet.map_public_ip_on_launch])
    error_message = "Nothing in a private subnet gets a public address."
  }
}

run "nat_in_the_first_zone" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    egress = "nat"
    zones  = ["c", "a", "b"]
  }

  assert {
    condition     = keys(aws_nat_gateway.nat) == ["c"] && aws_subnet.public["c"].cidr_block == "10.0.255.0/24"
    error_message = "One NAT gateway, in a public subnet above the private ones."
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0
    error_message = "With a NAT gateway there is nothing to pay interface endpoints for."
  }

  assert {
    condition     = keys(output.https_destinations) == ["internet", "s3"]
    error_message = "With a NAT gateway HTTPS goes to the internet, and to S3 by its gateway."
  }
}

run "refusals" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    egress   = "vpn"
    vpc_cidr = "10.0.0.0/24"
    zones    = ["a"]
  }

  expect_failures = [var.egress, var.vpc_cidr, var.zones]
}

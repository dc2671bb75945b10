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
    condition = toset(keys(aws_vpc_endpoint.interface)) == toset([
      "airflow.api", "airflow.env", "airflow.ops", "autoscaling", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry",
      "kms", "logs", "monitoring", "sqs", "ssm", "ssmmessages",
    ])
    error_message = "There is an endpoint for each service that is called (docs/decisions/0150), and for no other."
  }

  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled])
    error_message = "A service's own name leads to its endpoint."
  }

  assert {
    condition     = aws_vpc_endpoint.interface["ecr.api"].service_name == "cn.com.amazonaws.cn-north-1.ecr.api"
    error_message = "An endpoint's service is named as its partition names it."
  }

  assert {
    condition     = { for zone, rule in aws_vpc_security_group_ingress_rule.endpoints_https : zone => "${rule.from_port}-${rule.to_port} ${rule.cidr_ipv4}" } == { a = "443-443 10.0.0.0/20", b = "443-443 10.0.16.0/20" }
    error_message = "Endpoints take HTTPS from the private subnets and nothing else."
  }

  assert {
    condition     = length(aws_nat_gateway.nat) == 0 && length(aws_internet_gateway.internet) == 0 && length(aws_subnet.public) == 0 && length(aws_route.nat) == 0
    error_message = "With endpoints there is no way to the internet."
  }

  assert {
    condition     = keys(output.https_destinations) == ["endpoints", "s3"]
    error_message = "With endpoints nothing but them and S3 is reached."
  }

  assert {
    condition     = aws_vpc_endpoint.s3[0].policy == data.aws_iam_policy_document.s3.json
    error_message = "Where there is no internet, S3 is no way around that."
  }

  assert {
    condition     = !anytrue([for subnet in aws_subnet.private : subnet.map_public_ip_on_launch])
    error_message = "Nothing in a private subnet gets a public address."
  }

  assert {
    condition     = aws_flow_log.vpc[0].traffic_type == "ALL" && output.log_groups == ["/winbatch/test/flow-logs"]
    error_message = "All traffic is in the flow logs."
  }
}

run "what_the_s3_gateway_lets_through" {
  command = plan

  module {
    source = "./modules/network"
  }

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.s3.statement :
      contains([for condition in statement.condition : condition.variable], "aws:PrincipalAccount") || statement.resources == toset(["arn:aws-cn:s3:::prod-cn-north-1-starport-layer-bucket/*"])
    ])
    error_message = "Strangers' credentials are good for image layers only."
  }

  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.s3.statement :
      contains([for condition in statement.condition : condition.variable], "aws:ResourceAccount")
      if contains(statement.actions, "s3:PutObject")
    ])
    error_message = "Nothing is written into another account's bucket."
  }
}

run "further_endpoints" {
  command = plan

  module {
    source = "./modules/network"
  }

  variables {
    further_buckets   = ["ec2imagebuilder-toe-cn-north-1-prod"]
    further_endpoints = ["secretsmanager", "ssm"]
  }

  assert {
    condition = flatten([for statement in data.aws_iam_policy_document.s3.statement : tolist(statement.resources) if statement.sid == "ReadImageLayers"]) == [
      "arn:aws-cn:s3:::ec2imagebuilder-toe-cn-north-1-prod/*", "arn:aws-cn:s3:::prod-cn-north-1-starport-layer-bucket/*",
    ]
    error_message = "Further buckets may be read, and not written."
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 16 && contains(keys(aws_vpc_endpoint.interface), "secretsmanager")
    error_message = "What a workload calls beside the system's own services gets an endpoint, and none gets two."
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
    condition     = keys(aws_route.nat) == ["a", "b", "c"] && keys(aws_route_table.private) == ["a", "b", "c"]
    error_message = "Every zone has a route to it, in a table of its own."
  }

  assert {
    condition     = length(aws_vpc_endpoint.interface) == 0 && length(aws_security_group.endpoints) == 0
    error_message = "With a NAT gateway there is nothing to pay interface endpoints for."
  }

  assert {
    condition     = keys(output.https_destinations) == ["internet", "s3"]
    error_message = "With a NAT gateway HTTPS goes to the internet, and to S3 by its gateway."
  }
}

# Applied, with the mocked provider, so that gateways have ids to tell apart.
run "nat_per_zone" {
  module {
    source = "./modules/network"
  }

  variables {
    egress = "nat_per_zone"
    zones  = ["a", "b", "c"]
  }

  assert {
    condition     = length(distinct([for subnet in aws_subnet.public : subnet.cidr_block])) == 3 && length(aws_internet_gateway.internet) == 1
    error_message = "Each zone has a public subnet of its own, all of them one internet gateway."
  }

  assert {
    condition     = { for zone, route in aws_route.nat : zone => route.nat_gateway_id } == { for zone, gateway in aws_nat_gateway.nat : zone => gateway.id }
    error_message = "Each zone goes out by its own NAT gateway."
  }
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

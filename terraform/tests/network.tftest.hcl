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
    condition = toset(keys(aws_vpc_endpoint.interface)) == toset([
      "airflow.api", "airflow.env", "autoscaling", "ecr.api", "ecr.dkr", "ecs", "ecs-agent", "ecs-telemetry",
      "kms", "logs", "monitoring", "sqs", "ssm", "ssmmessages",
    ])
    error_message = "There is an endpoint for each service that is called (docs/decisions/0150), and for no other; airflow.ops is in the partition aws only."
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

run "endpoints_of_the_first_partition" {
  command = plan

  module {
    source = "./modules/network"
  }

  override_data {
    target = data.aws_partition.current
    values = { partition = "aws", dns_suffix = "amazonaws.com", reverse_dns_prefix = "com.amazonaws" }
  }

  assert {
    condition     = aws_vpc_endpoint.interface["airflow.ops"].service_name == "com.amazonaws.cn-north-1.airflow.ops" && length(aws_vpc_endpoint.interface) == 15
    error_message = "MWAA's third endpoint is there where AWS has it."
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
    condition     = length(aws_vpc_endpoint.interface) == 15 && contains(keys(aws_vpc_endpoint.interface), "secretsmanager")
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

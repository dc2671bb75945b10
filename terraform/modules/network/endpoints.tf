data "aws_partition" "current" {}

locals {
  # What the system calls, and nothing else: without a NAT gateway a missing name is a call that times out.
  interface_endpoints = var.egress != "endpoints" ? toset([]) : toset([
    "airflow.api",   # MWAA's own components and the command line
    "airflow.env",   #
    "airflow.ops",   #
    "autoscaling",   # the DAG scales the cluster
    "ec2messages",   # Session Manager
    "ecr.api",       # image pulls (layers come from S3)
    "ecr.dkr",       #
    "ecs",           # the DAG runs ECS tasks
    "ecs-agent",     # the instances' agents
    "ecs-telemetry", #
    "kms",           # MWAA's queues, objects in S3
    "logs",          # everyone's logs
    "monitoring",    # MWAA's metrics
    "sqs",           # MWAA's Celery queue
    "ssm",           # Session Manager
    "ssmmessages",   #
    "sts",           # identity of a role's session
  ])

  service_prefix = "${data.aws_partition.current.reverse_dns_prefix}.${var.region}"
}

# Image layers and job data: free of charge, so it is there also beside a NAT gateway.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.vpc.id
  service_name      = "${local.service_prefix}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private.id]

  tags = { Name = "${var.name}-s3" }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.interface_endpoints

  vpc_id              = aws_vpc.vpc.id
  service_name        = "${local.service_prefix}.${each.value}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  security_group_ids  = [aws_security_group.endpoints.id]
  subnet_ids          = [for subnet in aws_subnet.private : subnet.id]

  tags = { Name = "${var.name}-${each.value}" }
}

resource "aws_security_group" "endpoints" {
  name        = "${var.name}-endpoints"
  description = "Interface endpoints: HTTPS from the VPC"
  vpc_id      = aws_vpc.vpc.id

  tags = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_https" {
  security_group_id = aws_security_group.endpoints.id
  description       = "HTTPS from the VPC"
  cidr_ipv4         = var.vpc_cidr
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = { Name = "${var.name}-endpoints-https" }
}

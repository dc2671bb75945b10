data "aws_partition" "current" {}

locals {
  # What the system calls, and nothing else: without a NAT gateway a missing name is a call that times out. Who calls what:
  # docs/decisions/0150.
  own_endpoints = [
    "airflow.api",   # MWAA's own components and the command line
    "airflow.env",   #
    "airflow.ops",   #
    "autoscaling",   # the DAG scales the cluster
    "ecr.api",       # image pulls (layers come from S3)
    "ecr.dkr",       #
    "ecs",           # the DAG runs ECS tasks
    "ecs-agent",     # the instances' agents
    "ecs-telemetry", #
    "kms",           # MWAA's queue and encrypted sessions
    "logs",          # everyone's logs
    "monitoring",    # MWAA's metrics
    "sqs",           # MWAA's Celery queue
    "ssm",           # Session Manager
    "ssmmessages",   #
  ]
  # AWS has it in its first partition only (awslabs/aws-support-tools, MWAA/verify_env).
  missing_endpoints   = data.aws_partition.current.partition == "aws" ? [] : ["airflow.ops"]
  interface_endpoints = var.egress == "endpoints" ? setunion(setsubtract(local.own_endpoints, local.missing_endpoints), var.further_endpoints) : toset([])

  service_prefix = "${data.aws_partition.current.reverse_dns_prefix}.${var.region}"
}

# Image layers and job data. Free of charge, so a VPC of its own has it beside NAT gateways too.
resource "aws_vpc_endpoint" "s3" {
  count = local.own || var.egress == "endpoints" ? 1 : 0

  vpc_id            = local.vpc_id
  service_name      = "${local.service_prefix}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = local.route_table_ids
  # Where there is no internet, S3 is no way around that. Beside NAT gateways it would keep nobody in.
  policy = var.egress == "endpoints" ? data.aws_iam_policy_document.s3.json : null

  tags = { Name = "${var.name}-s3" }
}

data "aws_iam_policy_document" "s3" {
  statement {
    sid = "OwnPrincipalsOwnBuckets"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:GetBucketLocation",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketVersioning",
      "s3:GetObject",
      "s3:GetObjectVersion",
      "s3:ListBucket",
      "s3:ListBucketVersions",
      "s3:PutObject",
    ]
    resources = ["arn:${data.aws_partition.current.partition}:s3:::*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    dynamic "condition" {
      for_each = ["aws:PrincipalAccount", "aws:ResourceAccount"]

      content {
        test     = "StringEquals"
        variable = condition.value
        values   = [data.aws_caller_identity.current.account_id]
      }
    }
  }

  # MWAA makes sure that the DAG bucket is closed to the public; the account's own block is no bucket's.
  statement {
    sid       = "PublicAccessBlock"
    actions   = ["s3:GetAccountPublicAccessBlock"]
    resources = ["*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }

  # ECR hands out signed addresses of layers in a bucket of its own, for our images and for MWAA's.
  statement {
    sid       = "ReadImageLayers"
    actions   = ["s3:GetObject"]
    resources = [for bucket in setunion(["prod-${var.region}-starport-layer-bucket"], var.further_buckets) : "arn:${data.aws_partition.current.partition}:s3:::${bucket}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.interface_endpoints

  vpc_id              = local.vpc_id
  service_name        = "${local.service_prefix}.${each.value}"
  vpc_endpoint_type   = "Interface"
  private_dns_enabled = true
  security_group_ids  = [aws_security_group.endpoints[0].id]
  subnet_ids          = [for subnet in local.private_subnets : subnet.id]

  tags = { Name = "${var.name}-${each.value}" }
}

resource "aws_security_group" "endpoints" {
  count = var.egress == "endpoints" ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "Interface endpoints: HTTPS from the private subnets"
  vpc_id      = local.vpc_id

  tags = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "endpoints_https" {
  for_each = var.egress == "endpoints" ? local.private_subnets : {}

  security_group_id = aws_security_group.endpoints[0].id
  description       = "HTTPS from the private subnet of zone ${each.key}"
  cidr_ipv4         = each.value.cidr_block
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443

  tags = { Name = "${var.name}-endpoints-https-${each.key}" }
}

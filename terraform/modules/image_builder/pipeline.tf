resource "aws_imagebuilder_infrastructure_configuration" "build" {
  name                          = var.name
  description                   = "Where ${var.name} bakes its AMI"
  instance_profile_name         = aws_iam_instance_profile.build.name
  instance_types                = [var.instance_type]
  resource_tags                 = var.tags
  security_group_ids            = [aws_security_group.build.id]
  subnet_id                     = values(var.network.private_subnet_ids)[0]
  terminate_instance_on_failure = true

  instance_metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  logging {
    s3_logs {
      s3_bucket_name = var.log_bucket.name
      s3_key_prefix  = "image-builder"
    }
  }
}

resource "aws_imagebuilder_distribution_configuration" "region" {
  name        = var.name
  description = "The AMI of ${var.name}, named by a parameter"

  distribution {
    region = var.region

    ami_distribution_configuration {
      name       = "${var.name}-${local.windows}-{{ imagebuilder:buildDate }}"
      kms_key_id = var.kms_key_arn
      # modules/cluster reads `windows`.
      ami_tags = merge(var.tags, { windows = local.windows })
    }

    ssm_parameter_configuration {
      parameter_name = local.parameter
      data_type      = "aws:ec2:image"
    }
  }
}

resource "aws_imagebuilder_image_pipeline" "ami" {
  name                             = var.name
  description                      = "Bakes the AMI of ${var.name}"
  distribution_configuration_arn   = aws_imagebuilder_distribution_configuration.region.arn
  image_recipe_arn                 = aws_imagebuilder_image_recipe.windows.arn
  infrastructure_configuration_arn = aws_imagebuilder_infrastructure_configuration.build.arn

  dynamic "schedule" {
    for_each = var.schedule[*]

    content {
      schedule_expression = schedule.value
    }
  }

  depends_on = [aws_iam_role_policy.build]
}

locals {
  # Image Builder may write below /imagebuilder/ only.
  parameter = "/imagebuilder/${var.name}/ami"
}

resource "aws_security_group" "build" {
  name        = "${var.name}-image-builder"
  description = "The instance that bakes the AMI: HTTPS out"
  vpc_id      = var.network.vpc_id

  tags = { Name = "${var.name}-image-builder" }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = var.network.https_destinations

  security_group_id            = aws_security_group.build.id
  description                  = "HTTPS to ${each.key}"
  cidr_ipv4                    = each.value.cidr_ipv4
  prefix_list_id               = each.value.prefix_list_id
  referenced_security_group_id = each.value.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443

  tags = { Name = "${var.name}-image-builder-https-${each.key}" }
}

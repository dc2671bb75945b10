locals {
  ami_parameter = "/aws/service/ami-windows-latest/Windows_Server-${var.windows.version}-English-${var.windows.edition}-ECS_Optimized/image_id"

  agent_environment = merge(
    {
      # With awslogs and an execution role, the role and not the instance writes the logs.
      ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE = "true"
      ECS_ENABLE_SPOT_INSTANCE_DRAINING         = "true"
      # The default (`default`) asks the registry for each container start; images are named by digest, so once is enough.
      ECS_IMAGE_PULL_BEHAVIOR = "once"
      # The first start unpacks gigabytes of Windows layers.
      ECS_CONTAINER_START_TIMEOUT       = "20m"
      ECS_IMAGE_PULL_INACTIVITY_TIMEOUT = "10m"
      ECS_RESERVED_MEMORY               = tostring(var.reserved_memory_mib)
    },
    var.agent_environment,
  )
}

# Fails at plan when there is no such Windows.
data "aws_ssm_parameter" "ami" {
  name = local.ami_parameter
}

data "aws_ec2_instance_type" "type" {
  for_each = toset(var.instance_types)

  instance_type = each.value
}

resource "aws_launch_template" "windows" {
  name                   = var.name
  description            = "Windows container instances of ${var.name}"
  update_default_version = true

  # Resolved at each launch: AWS withdraws an AMI after about three newer ones, and a group that starts from zero once a
  # quarter would find its own gone.
  image_id      = "resolve:ssm:${data.aws_ssm_parameter.ami.name}"
  instance_type = var.instance_types[0]
  ebs_optimized = true

  user_data = base64encode(templatefile("${path.module}/user_data.ps1.tftpl", {
    agent_environment = local.agent_environment
    cluster           = var.name
  }))

  vpc_security_group_ids = [aws_security_group.instances.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.instance.arn
  }

  block_device_mappings {
    device_name = "/dev/sda1"

    ebs {
      delete_on_termination = true
      encrypted             = true
      iops                  = var.root_volume.iops
      kms_key_id            = var.kms_key_arn
      throughput            = var.root_volume.throughput_mib
      volume_size           = var.root_volume.size_gib
      volume_type           = "gp3"
    }
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # The host reads it; a container, one hop further, does not.
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "network-interface", "volume"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = var.name })
    }
  }
}

resource "aws_autoscaling_group" "windows" {
  name                = var.name
  vpc_zone_identifier = values(var.private_subnet_ids)

  # The DAG scales it from zero and back.
  min_size                  = 0
  max_size                  = var.max_instances
  wait_for_capacity_timeout = "0"

  # Instances come and go with the work. Only when ECS scales does it keep busy ones by this protection; the DAG names the
  # instances that go, and protected ones would survive a scale-in to zero.
  protect_from_scale_in = var.managed_scaling.enabled
  # Balancing zones ends instances in the middle of their work.
  suspended_processes = ["AZRebalance"]
  # Destroy must not wait for instances to be unprotected.
  force_delete = true

  enabled_metrics = ["GroupDesiredCapacity", "GroupInServiceInstances", "GroupTotalInstances"]

  mixed_instances_policy {
    instances_distribution {
      on_demand_allocation_strategy            = "prioritized"
      on_demand_base_capacity                  = var.purchase.on_demand_base
      on_demand_percentage_above_base_capacity = var.purchase.on_demand_percentage
      spot_allocation_strategy                 = var.purchase.spot_strategy
    }

    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.windows.id
        version            = aws_launch_template.windows.latest_version
      }

      dynamic "override" {
        for_each = var.instance_types

        content {
          instance_type = override.value
        }
      }
    }
  }

  # The capacity provider puts it there; named here, it is no drift.
  tag {
    key                 = "AmazonECSManaged"
    value               = "true"
    propagate_at_launch = true
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = var.name })

    content {
      key   = tag.key
      value = tag.value
      # The launch template tags instances, their volumes and interfaces.
      propagate_at_launch = false
    }
  }

  lifecycle {
    ignore_changes = [desired_capacity]
  }

  # An instance that starts before its role has its policy cannot join the cluster.
  depends_on = [aws_iam_role_policy.instance]
}

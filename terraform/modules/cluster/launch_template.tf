locals {
  # null: an AMI by its id.
  ami_parameter = var.windows.ami_id != null ? null : coalesce(
    var.windows.ami_parameter,
    "/aws/service/ami-windows-latest/Windows_Server-${var.windows.version}-English-${var.windows.edition}-ECS_Optimized/image_id",
  )

  # A parameter is resolved at each launch: AWS withdraws an AMI after about three newer ones, and a group that starts from zero once a
  # quarter would find its own gone. A group with a warm pool takes no such template (Auto Scaling guide, "Use AWS Systems Manager parameters
  # instead of AMI IDs", limitations): its AMI is the one of the last apply.
  image_id = (
    local.ami_parameter == null ? var.windows.ami_id :
    var.warm_pool == null ? "resolve:ssm:${local.ami_parameter}" :
    data.aws_ssm_parameter.ami[local.ami_parameter].insecure_value
  )

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
      ECS_RESERVED_MEMORY               = tostring(var.agent.reserved_memory_mib)
    },
    # An instance in the pool must not take ECS tasks yet.
    { for pool in var.warm_pool[*] : "ECS_WARM_POOLS_CHECK" => "true" },
    var.agent.environment,
  )

  volumes = merge(
    {
      "/dev/sda1" = {
        initialization_rate_mib = var.root_volume.initialization_rate_mib
        iops                    = var.root_volume.iops
        size_gib                = var.root_volume.size_gib
        throughput_mib          = var.root_volume.throughput_mib
      }
    },
    {
      for volume in var.data_volume[*] : "xvdd" => {
        initialization_rate_mib = null
        iops                    = volume.iops
        size_gib                = volume.size_gib
        throughput_mib          = volume.throughput_mib
      } if volume.source == "ebs"
    },
  )
}

resource "aws_launch_template" "windows" {
  name                   = var.name
  description            = "Windows container instances of ${var.name}"
  update_default_version = true

  image_id      = local.image_id
  instance_type = var.instance_types[0]
  ebs_optimized = true

  # With a warm pool it runs at each boot (`persist`): after a stop the host's credential proxy is gone (ECS guide, "Windows task IAM roles").
  user_data = base64encode(templatefile("${path.module}/user_data.ps1.tftpl", {
    agent_environment = local.agent_environment
    cluster           = aws_ecs_cluster.cluster.name
    data_volume       = var.data_volume
    group             = var.name
    hook              = local.launch_hook.name
    region            = var.region
    warm_pool         = var.warm_pool
  }))

  vpc_security_group_ids = [aws_security_group.instances.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.instance.arn
  }

  dynamic "block_device_mappings" {
    for_each = local.volumes

    content {
      device_name = block_device_mappings.key

      ebs {
        delete_on_termination      = true
        encrypted                  = true
        iops                       = block_device_mappings.value.iops
        kms_key_id                 = var.kms_key_arn
        throughput                 = block_device_mappings.value.throughput_mib
        volume_initialization_rate = block_device_mappings.value.initialization_rate_mib
        volume_size                = block_device_mappings.value.size_gib
        volume_type                = "gp3"
      }
    }
  }

  dynamic "hibernation_options" {
    for_each = [for pool in var.warm_pool[*] : pool if pool.state == "Hibernated"]

    content {
      configured = true
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

  lifecycle {
    precondition {
      # The user data's own text is small; the variables are the user's.
      condition     = length(jsonencode(local.agent_environment)) <= 8192
      error_message = "agent_environment is too long: EC2 takes 16 KiB of user data."
    }
  }
}

locals {
  # Holds an instance on its way into the pool and out of it until its user data has said that it is ready.
  launch_hook = {
    name                 = "initialised"
    default_result       = "ABANDON"
    heartbeat_timeout    = 1200
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
  }
  launch_hooks = var.warm_pool == null ? {} : { launch = local.launch_hook }
}

resource "aws_autoscaling_group" "windows" {
  name                = var.name
  vpc_zone_identifier = values(var.network.private_subnet_ids)

  # The DAG scales it from zero and back.
  min_size                  = 0
  max_size                  = var.max_instances
  wait_for_capacity_timeout = "0"

  # Instances come and go with the work. Only when ECS scales does it keep busy ones by this protection; the DAG names the
  # instances that go, and protected ones would survive a scale-in to zero.
  protect_from_scale_in = var.managed_scaling.enabled
  # Balancing zones ends instances in the middle of their work.
  suspended_processes = ["AZRebalance"]
  # Destroy must wait neither for instances to be unprotected nor for a warm pool to drain.
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

  # Beside the hook's own resource: a new group must have it before its pool launches the first instance.
  dynamic "initial_lifecycle_hook" {
    for_each = local.launch_hooks

    content {
      name                 = initial_lifecycle_hook.value.name
      default_result       = initial_lifecycle_hook.value.default_result
      heartbeat_timeout    = initial_lifecycle_hook.value.heartbeat_timeout
      lifecycle_transition = initial_lifecycle_hook.value.lifecycle_transition
    }
  }

  dynamic "warm_pool" {
    for_each = var.warm_pool[*]

    content {
      pool_state                  = warm_pool.value.state
      min_size                    = warm_pool.value.min_size
      max_group_prepared_capacity = warm_pool.value.max_prepared
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
    # The provider replaces a group whose first hooks change; a group that exists gets the hook's own resource.
    ignore_changes = [desired_capacity, initial_lifecycle_hook]
  }

  # An instance that starts before its role has its policy cannot join the cluster.
  depends_on = [aws_iam_role_policy.instance]
}

resource "aws_autoscaling_lifecycle_hook" "launch" {
  for_each = local.launch_hooks

  name                   = each.value.name
  autoscaling_group_name = aws_autoscaling_group.windows.name
  default_result         = each.value.default_result
  heartbeat_timeout      = each.value.heartbeat_timeout
  lifecycle_transition   = each.value.lifecycle_transition
}

# An alarm that scales: neither code nor state of ours, and nothing of Airflow's (decision 0161).
locals {
  backstop = {
    summary = join(" ", [
      "Instances were on, but for ${var.backstop.idle_minutes} minutes neither an ECS task nor an engine was seen: ${var.auto_scaling_group} is scaled to zero.",
      var.usd_per_hour == null ? "" : "Each instance has cost up to ${format("%.2f", var.usd_per_hour * var.backstop.idle_minutes / 60)} US dollars meanwhile.",
      "Why nobody scaled in stands in the log of the last job's Airflow task scale_in.",
    ])
    metrics    = merge(local.seen, { desired = { source = "group", metric = "GroupDesiredCapacity", stat = "Minimum" } })
    expression = "IF(desired > 0 AND MAX([desired * 0, FILL(tasks, 0), FILL(engine, 0)]) == 0, 1, 0)"
    periods    = var.backstop.idle_minutes / 5
    actions    = [for policy in aws_autoscaling_policy.zero : policy.arn]
  }
}

resource "aws_autoscaling_policy" "zero" {
  for_each = var.backstop.enabled ? { zero = 0 } : {}

  name                   = "${var.name}-zero"
  autoscaling_group_name = var.auto_scaling_group
  policy_type            = "SimpleScaling"
  adjustment_type        = "ExactCapacity"
  scaling_adjustment     = each.value
  # CloudWatch repeats the action each minute while the alarm stays. Who asks for instances right after it gets them in peace.
  cooldown = var.backstop.idle_minutes * 60
}

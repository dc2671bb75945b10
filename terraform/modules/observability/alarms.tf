locals {
  # AWS/ECS has no data at all while no ECS task runs, and the engine none while no job is open. Nothing says that FILL makes points of a series
  # that has none, so whatever is compared with 0 stands in an array beside a series that has points: MAX takes those that there are.
  seen = {
    engine = { source = "engine", metric = "LedgerAgeSeconds", stat = "SampleCount" }
    tasks  = { source = "tasks", metric = "CPUReservation", stat = "Maximum" }
  }
  # An alarm is one when its expression is above the threshold in so many periods in a row. Data that are missing mean "no job"
  # and are no reason to wake anybody.
  alarms = merge(
    {
      capacity = {
        summary    = "A job has waited ${var.alarm_minutes.capacity} minutes for its first instance: look at the Auto Scaling group's activities (Spot or On-Demand quota, capacity, subnets)."
        metrics    = { wait = { source = "engine", metric = "CapacityWaitSeconds", stat = "Maximum" } }
        expression = "wait"
        threshold  = var.alarm_minutes.capacity * 60
      }
      idle = {
        summary    = "Instances are on, but for ${var.alarm_minutes.idle} minutes neither an ECS task nor an engine has been seen.${var.backstop.enabled ? " After ${var.backstop.idle_minutes} minutes they are scaled to zero." : ""}"
        metrics    = merge(local.seen, { instances = { source = "group", metric = "GroupTotalInstances", stat = "Minimum" } })
        expression = "IF(instances > 0 AND MAX([instances * 0, FILL(tasks, 0), FILL(engine, 0)]) == 0, 1, 0)"
        periods    = var.alarm_minutes.idle / 5
      }
      queue = {
        summary    = "An Airflow task has waited ${var.alarm_minutes.queue} minutes for a worker: look at MWAA's workers."
        metrics    = { age = { source = "queue", metric = "ApproximateAgeOfOldestTask", stat = "Maximum" } }
        expression = "age"
        threshold  = var.alarm_minutes.queue * 60
      }
      silent = {
        summary    = "ECS tasks run, but no engine has looked after them for ${var.alarm_minutes.silent} minutes: Airflow is down, or somebody else uses the cluster."
        metrics    = local.seen
        expression = "IF(tasks > 0 AND MAX([tasks * 0, FILL(engine, 0)]) == 0, 1, 0)"
        periods    = var.alarm_minutes.silent / 5
      }
      stuck = {
        summary    = "An open job has got no shard done for ${var.alarm_minutes.stuck} minutes: invoke status, and invoke logs of an item."
        metrics    = { stall = { source = "engine", metric = "StallSeconds", stat = "Maximum" } }
        expression = "stall"
        threshold  = var.alarm_minutes.stuck * 60
      }
      teardown = {
        summary    = "A job's teardown fails again and again, and its instances may stay: look at the log of its Airflow task scale_in; invoke cancel scales in."
        metrics    = { failures = { source = "engine", metric = "TeardownFailures", stat = "Sum" } }
        expression = "failures"
        # It is tried again every five minutes at least.
        period  = 600
        periods = 2
      }
    },
    var.backstop.enabled ? { backstop = local.backstop } : {},
  )
}

resource "aws_cloudwatch_metric_alarm" "alarm" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.summary
  comparison_operator = "GreaterThanThreshold"
  threshold           = try(each.value.threshold, 0)
  evaluation_periods  = try(each.value.periods, 1)
  treat_missing_data  = "notBreaching"
  alarm_actions       = concat(try(each.value.actions, []), [aws_sns_topic.alarms.arn])
  ok_actions          = [aws_sns_topic.alarms.arn]

  metric_query {
    id          = "alarm"
    label       = each.key
    expression  = each.value.expression
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id          = metric_query.key
      return_data = false

      metric {
        namespace   = local.sources[metric_query.value.source].namespace
        dimensions  = local.sources[metric_query.value.source].dimensions
        metric_name = metric_query.value.metric
        stat        = metric_query.value.stat
        period      = try(each.value.period, 300)
      }
    }
  }
}

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "winbatch-test"
  region             = "cn-north-1"
  auto_scaling_group = "the-group"
  cluster            = "the-cluster"
  kms_key_arn        = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_retention_days = 365
  mwaa_environment   = "the-airflow"
  usd_per_hour       = 0.378

  scheduler_environment = "the-airflow"
}

run "defaults" {
  module {
    source = "./modules/observability"
  }

  assert {
    condition     = keys(aws_cloudwatch_metric_alarm.alarm) == ["backstop", "capacity", "idle", "queue", "silent", "stuck", "teardown"]
    error_message = "Each thing that goes wrong has its alarm: ${join(", ", keys(aws_cloudwatch_metric_alarm.alarm))}."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.alarm : contains(alarm.alarm_actions, aws_sns_topic.alarms.arn) && contains(alarm.ok_actions, aws_sns_topic.alarms.arn)])
    error_message = "Every alarm tells people, and tells them when it is over."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.alarm : alarm.treat_missing_data == "notBreaching"]) && aws_cloudwatch_metric_alarm.scheduler.treat_missing_data == "breaching"
    error_message = "No data are no reason to act or to wake anybody, but for the scheduler's heartbeat."
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.scheduler.metric_name == "SchedulerHeartbeat" && aws_cloudwatch_metric_alarm.scheduler.dimensions["Environment"] == "the-airflow" &&
      contains(aws_cloudwatch_metric_alarm.scheduler.alarm_actions, aws_sns_topic.alarms.arn) && contains(aws_cloudwatch_metric_alarm.scheduler.ok_actions, aws_sns_topic.alarms.arn)
    )
    error_message = "The scheduler's alarm looks at its heartbeat, and tells."
  }

  # What FILL makes of a series without points, nobody says: beside each stands one that has points.
  assert {
    condition = alltrue([
      for alarm in aws_cloudwatch_metric_alarm.alarm : alltrue([
        for query in alarm.metric_query : length(regexall("FILL", coalesce(query.expression, "-"))) == 0 || can(regex("MAX\\(\\[[a-z]+ \\* 0, (FILL\\([a-z]+, 0\\)(, )?)+\\]\\)", query.expression))
      ])
    ])
    error_message = "An expression rests on FILL alone."
  }

  assert {
    condition     = [for name, alarm in aws_cloudwatch_metric_alarm.alarm : name if contains(alarm.alarm_actions, aws_autoscaling_policy.zero["zero"].arn)] == ["backstop"]
    error_message = "One alarm scales, and no other."
  }

  assert {
    condition = (
      aws_autoscaling_policy.zero["zero"].adjustment_type == "ExactCapacity" && aws_autoscaling_policy.zero["zero"].scaling_adjustment == 0 &&
      aws_autoscaling_policy.zero["zero"].autoscaling_group_name == "the-group" && aws_autoscaling_policy.zero["zero"].cooldown == 3600
    )
    error_message = "The backstop scales to zero, and leaves whoever asks for instances after it as long in peace."
  }

  assert {
    condition     = one([for query in aws_cloudwatch_metric_alarm.alarm["backstop"].metric_query : query.expression if query.return_data]) == "IF(desired > 0 AND MAX([desired * 0, FILL(tasks, 0), FILL(engine, 0)]) == 0, 1, 0)"
    error_message = "The backstop acts when instances are wanted and neither ECS tasks nor an engine are seen."
  }

  assert {
    condition = jsonencode({
      for query in aws_cloudwatch_metric_alarm.alarm["backstop"].metric_query : query.id => [
        query.metric[0].namespace, query.metric[0].metric_name, query.metric[0].stat, query.metric[0].dimensions,
      ] if !query.return_data
      }) == jsonencode({
      desired = ["AWS/AutoScaling", "GroupDesiredCapacity", "Minimum", { AutoScalingGroupName = "the-group" }]
      engine  = ["winbatch", "LedgerAgeSeconds", "SampleCount", { environment = "test" }]
      tasks   = ["AWS/ECS", "CPUReservation", "Maximum", { ClusterName = "the-cluster" }]
    })
    error_message = "The backstop looks at this group, this cluster and this environment's engine."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["backstop"].evaluation_periods == 12 && aws_cloudwatch_metric_alarm.alarm["idle"].evaluation_periods == 3
    error_message = "The backstop waits an hour, the alarm before it a quarter."
  }

  assert {
    condition     = strcontains(aws_cloudwatch_metric_alarm.alarm["backstop"].alarm_description, "the-group is scaled to zero") && strcontains(aws_cloudwatch_metric_alarm.alarm["backstop"].alarm_description, "0.38 US dollars")
    error_message = "The backstop says what it did and what it has cost: ${aws_cloudwatch_metric_alarm.alarm["backstop"].alarm_description}"
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.alarm : length(alarm.alarm_description) <= 1024])
    error_message = "CloudWatch takes 1024 characters."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.alarm["stuck"].threshold == 3600 && aws_cloudwatch_metric_alarm.alarm["capacity"].threshold == 1200 && aws_cloudwatch_metric_alarm.alarm["queue"].threshold == 1800
    error_message = "Thresholds are the minutes that were asked for, in seconds."
  }

  assert {
    condition     = aws_sns_topic.alarms.kms_master_key_id == var.kms_key_arn && aws_cloudwatch_log_group.metrics.kms_key_id == var.kms_key_arn && aws_cloudwatch_log_group.metrics.retention_in_days == 365
    error_message = "Topic and log group are encrypted by the environment's key, and the log has an end."
  }

  assert {
    condition     = output.log_group == "/winbatch/test/engine/metrics"
    error_message = "Airflow's role may write to this group."
  }

  assert {
    condition     = aws_budgets_budget.month == {} && aws_sns_topic_subscription.email == {} && aws_sns_topic_subscription.webhook == {}
    error_message = "Nobody is told and no budget is kept unless somebody says so."
  }

  assert {
    condition     = [for widget in jsondecode(aws_cloudwatch_dashboard.dashboard.dashboard_body).widgets : widget.type] == concat(["alarm"], [for number in range(8) : "metric"])
    error_message = "The dashboard shows the alarms and eight graphs."
  }

  # Each series is a namespace, a metric and pairs of a dimension and its value, or an expression.
  assert {
    condition = alltrue(flatten([
      for widget in jsondecode(aws_cloudwatch_dashboard.dashboard.dashboard_body).widgets : [
        for series in try(widget.properties.metrics, []) : try(series[0].expression != "", length(series) % 2 == 0 && length(series) >= 4)
      ]
    ]))
    error_message = "A series of the dashboard is not what CloudWatch takes."
  }

  assert {
    condition     = alltrue([for widget in jsondecode(aws_cloudwatch_dashboard.dashboard.dashboard_body).widgets : widget.x + widget.width <= 24])
    error_message = "The dashboard has 24 columns."
  }
}

run "everything_on" {
  module {
    source = "./modules/observability"
  }

  variables {
    alarm_minutes = { idle = 10, silent = 20, stuck = 180 }
    backstop      = { idle_minutes = 45 }
    budget        = { usd_per_month = 500, spent_percents = [60, 90] }
    emails        = ["one@example.com", "two@example.com"]
    usd_per_hour  = null
    webhooks      = ["https://chat.example.com/hook"]
  }

  assert {
    condition = (
      aws_cloudwatch_metric_alarm.alarm["backstop"].evaluation_periods == 9 && aws_cloudwatch_metric_alarm.alarm["idle"].evaluation_periods == 2 &&
      aws_cloudwatch_metric_alarm.alarm["silent"].evaluation_periods == 4 && aws_cloudwatch_metric_alarm.alarm["stuck"].threshold == 10800 &&
      aws_cloudwatch_metric_alarm.alarm["capacity"].threshold == 1200
    )
    error_message = "Each alarm waits as long as it is told, and the others keep their defaults."
  }

  assert {
    condition     = !strcontains(aws_cloudwatch_metric_alarm.alarm["backstop"].alarm_description, "dollars")
    error_message = "Where no price is known, none is told."
  }

  assert {
    condition     = aws_budgets_budget.month["month"].limit_amount == "500.00" && one(one(aws_budgets_budget.month["month"].cost_filter).values) == "user:environment$test"
    error_message = "The budget counts what carries this environment's tag."
  }

  assert {
    condition = toset([for notification in aws_budgets_budget.month["month"].notification : "${notification.notification_type} ${notification.threshold}"]) == toset([
      "ACTUAL 60", "ACTUAL 90", "FORECASTED 100",
    ])
    error_message = "People are told at each percentage that was spent, and of a forecast."
  }

  assert {
    condition     = keys(aws_sns_topic_subscription.email) == ["one@example.com", "two@example.com"] && aws_sns_topic_subscription.webhook["https://chat.example.com/hook"].protocol == "https"
    error_message = "Everybody who is named is subscribed."
  }
}

run "without_the_backstop" {
  module {
    source = "./modules/observability"
  }

  variables {
    backstop = { enabled = false }
  }

  assert {
    condition     = aws_autoscaling_policy.zero == {} && !contains(keys(aws_cloudwatch_metric_alarm.alarm), "backstop")
    error_message = "A backstop that is off leaves nothing."
  }

  assert {
    condition     = !strcontains(aws_cloudwatch_metric_alarm.alarm["idle"].alarm_description, "scaled to zero")
    error_message = "Nobody is promised that the cluster is scaled to zero."
  }
}

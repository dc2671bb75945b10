locals {
  # Each graph: the series as CloudWatch wants them (namespace, metric, dimensions), or a search for one line a DAG.
  engine = ["environment", local.environment]
  graphs = [
    {
      title   = "Items a minute, by DAG"
      metrics = [[{ expression = "SEARCH('{winbatch,dag,environment} MetricName=\"ItemsDone\" environment=\"${local.environment}\"', 'Sum', 60)" }]]
      stacked = true
    },
    {
      title = "ECS tasks and shards at work"
      # Each stage says its own once a minute: their sum over a minute is all of them.
      metrics = [for metric in ["TasksRunning", "TasksPending", "ShardsInFlight"] : concat(["winbatch", metric], local.engine)]
      stat    = "Sum"
    },
    {
      title = "Instances"
      metrics = concat(
        [for metric in ["GroupDesiredCapacity", "GroupInServiceInstances", "GroupTotalInstances"] : ["AWS/AutoScaling", metric, "AutoScalingGroupName", var.auto_scaling_group]],
        [concat(["winbatch", "InstancesRegistered"], local.engine)],
      )
      stat = "Maximum"
    },
    {
      title = "Failures by kind"
      metrics = [
        for kind in ["Program", "Memory", "Crash", "Result", "Host", "Image", "Start", "Unstarted", "Worker", "Throttled"] :
        concat(["winbatch", "Failed${kind}"], local.engine)
      ]
      stat   = "Sum"
      period = 300
    },
    {
      title   = "US dollars an hour, by DAG"
      metrics = [[{ expression = "SEARCH('{winbatch,dag,environment} MetricName=\"CostUSD\" environment=\"${local.environment}\"', 'Sum', 3600)" }]]
      stacked = true
    },
    {
      title   = "Items open"
      metrics = [concat(["winbatch", "ItemsOpen"], local.engine)]
      stat    = "Sum"
    },
    {
      title = "Waiting, in seconds"
      metrics = concat(
        [for metric in ["StallSeconds", "CapacityWaitSeconds", "LedgerAgeSeconds"] : concat(["winbatch", metric], local.engine)],
        [["AWS/MWAA", "ApproximateAgeOfOldestTask", "Environment", var.mwaa_environment]],
      )
      stat = "Maximum"
    },
    {
      title = "Airflow"
      metrics = concat(
        [["AmazonMWAA", "SchedulerHeartbeat", "Function", "Scheduler", "Environment", var.mwaa_environment]],
        [for metric in ["RunningTasks", "QueuedTasks"] : ["AWS/MWAA", metric, "Environment", var.mwaa_environment]],
      )
      stat = "Maximum"
    },
  ]
}

resource "aws_cloudwatch_dashboard" "dashboard" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type   = "alarm"
        x      = 0
        y      = 0
        width  = 24
        height = 2
        properties = {
          title = "Alarms"
          alarms = concat(
            [for alarm in aws_cloudwatch_metric_alarm.alarm : alarm.arn],
            # By its name: the dashboard need not wait for MWAA.
            ["arn:${local.partition}:cloudwatch:${var.region}:${local.account_id}:alarm:${var.name}-scheduler"],
          )
        }
      }],
      [
        for index, graph in local.graphs : {
          type   = "metric"
          x      = index % 3 * 8
          y      = 2 + floor(index / 3) * 6
          width  = 8
          height = 6
          properties = {
            title   = graph.title
            region  = var.region
            view    = "timeSeries"
            stacked = try(graph.stacked, false)
            stat    = try(graph.stat, "Average")
            period  = try(graph.period, 60)
            metrics = graph.metrics
          }
        }
      ],
    )
  })
}

# The one alarm for which no data are a reason. It waits for MWAA, which takes half an hour to make and has no scheduler until then; the others
# do not.
resource "aws_cloudwatch_metric_alarm" "scheduler" {
  alarm_name          = "${var.name}-scheduler"
  alarm_description   = "Airflow's scheduler has given no sign of life for ten minutes: no job goes on. MWAA's own updates and maintenance raise this alarm, too."
  namespace           = "AmazonMWAA"
  metric_name         = "SchedulerHeartbeat"
  dimensions          = { Environment = var.scheduler_environment, Function = "Scheduler" }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 2
  comparison_operator = "LessThanThreshold"
  threshold           = 1
  treat_missing_data  = "breaching"
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

moved {
  from = aws_cloudwatch_metric_alarm.alarm["scheduler"]
  to   = aws_cloudwatch_metric_alarm.scheduler
}

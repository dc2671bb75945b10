resource "aws_budgets_budget" "month" {
  for_each = var.budget == null ? {} : { month = var.budget }

  name         = var.name
  budget_type  = "COST"
  limit_amount = format("%.2f", each.value.usd_per_month)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:environment$%s", local.environment)]
  }

  dynamic "notification" {
    for_each = merge(
      { for percent in each.value.spent_percents : "spent-${percent}" => { percent = percent, type = "ACTUAL" } },
      { forecast = { percent = each.value.forecast_percent, type = "FORECASTED" } },
    )

    content {
      comparison_operator       = "GREATER_THAN"
      notification_type         = notification.value.type
      threshold                 = notification.value.percent
      threshold_type            = "PERCENTAGE"
      subscriber_sns_topic_arns = [aws_sns_topic.alarms.arn]
    }
  }

  # Budgets sends a first message to see whether it may.
  depends_on = [aws_sns_topic_policy.alarms]
}

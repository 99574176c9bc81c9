# Alarms of the deployer. Each looks at five minutes; no data means that nothing ran.

locals {
  error_metric = "DeployerErrors"

  alarms = {
    errors = {
      description = "The deployer raised an error; its log group says which."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = var.deployer }
      statistic   = "Sum"
      above       = 0
    }
    throttles = {
      description = "Calls of the deployer were turned away: its reserved concurrency, or the account's, is used up."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = var.deployer }
      statistic   = "Sum"
      above       = 0
    }
    duration = {
      description = "A call of the deployer took more than 80 % of the ${var.deployer_timeout_seconds} seconds that it has."
      namespace   = "AWS/Lambda"
      metric      = "Duration"
      dimensions  = { FunctionName = var.deployer }
      statistic   = "Maximum"
      above       = var.deployer_timeout_seconds * 800 # milliseconds
    }
    logged-errors = {
      description = "The deployer logged an error: a release that it gave up, for instance, which is no error of the function."
      namespace   = var.prefix
      metric      = local.error_metric
      dimensions  = {}
      statistic   = "Sum"
      above       = 0
    }
    failed-events = {
      description = "Events wait in the queue that the deployer could not handle (the sweep makes up for them), or notices of failed executions that this topic did not take."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = var.failed_queue }
      statistic   = "Maximum"
      above       = 0
    }
  }
}

# The deployer writes one JSON object a line (deployment/log.py).
resource "aws_cloudwatch_log_metric_filter" "errors" {
  name           = "${var.deployer}-errors"
  log_group_name = var.deployer_log_group
  pattern        = "{ $.level = \"ERROR\" }"

  metric_transformation {
    namespace = var.prefix
    name      = local.error_metric
    value     = "1"
    unit      = "Count"
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.deployer}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = each.value.statistic
  period              = 300
  evaluation_periods  = 1
  threshold           = each.value.above
  comparison_operator = "GreaterThanThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
}

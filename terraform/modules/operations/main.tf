# Who is told of what goes wrong: one topic, and what publishes to it.

locals {
  topic_name = "${var.prefix}-alerts"
}

resource "aws_sns_topic" "alerts" {
  name              = local.topic_name
  kms_master_key_id = var.key_alias
}

data "aws_iam_policy_document" "alerts" {
  statement {
    sid       = "AlarmsAndBudgetsOfThisAccount"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alerts.arn]

    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [var.account_id]
    }
  }

  # EventBridge knows no aws:SourceAccount here (SNS Developer Guide, "Enable compatibility between event sources from
  # AWS services and encrypted topics"): the rule is what it publishes for.
  statement {
    sid       = "FailedExecutions"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.alerts.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }
}

resource "aws_sns_topic_policy" "alerts" {
  arn    = aws_sns_topic.alerts.arn
  policy = data.aws_iam_policy_document.alerts.json
}

resource "aws_sns_topic_subscription" "email" {
  count = var.email == "" ? 0 : 1

  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = var.email
}

# SageMaker Developer Guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge". An event, not the metric
# ExecutionFailed: it says which execution, and it can be tried where there are no metrics of SageMaker's.
resource "aws_cloudwatch_event_rule" "failed_execution" {
  name        = "${var.prefix}-execution-failed"
  description = "An execution of the pipeline failed"
  event_pattern = jsonencode({
    source        = ["aws.sagemaker"]
    "detail-type" = ["SageMaker Model Building Pipeline Execution Status Change"]
    detail = {
      pipelineArn                    = ["arn:aws:sagemaker:${var.region}:${var.account_id}:pipeline/${var.pipeline}"]
      currentPipelineExecutionStatus = ["Failed"]
    }
  })
}

resource "aws_cloudwatch_event_target" "failed_execution" {
  rule      = aws_cloudwatch_event_rule.failed_execution.name
  target_id = "alerts"
  arn       = aws_sns_topic.alerts.arn

  dead_letter_config {
    arn = "arn:aws:sqs:${var.region}:${var.account_id}:${var.failed_queue}"
  }
  retry_policy {
    maximum_retry_attempts       = var.retry_attempts
    maximum_event_age_in_seconds = var.event_age_seconds
  }

  input_transformer {
    input_paths    = { execution = "$.detail.pipelineExecutionArn", time = "$.time" }
    input_template = "\"<time>: the execution <execution> failed. Why: cv-factory --env ${var.environment} status <execution>\""
  }
}

# AWS Budgets, "Filtering": user-defined tags are named user:KEY$VALUE, and count once they are activated as cost
# allocation tags in the account's billing settings.
resource "aws_budgets_budget" "this" {
  count = var.budget_usd > 0 ? 1 : 0

  name         = var.prefix
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = format("%.2f", var.budget_usd)
  limit_unit   = "USD"

  cost_filter {
    name   = "TagKeyValue"
    values = [for key in sort(keys(var.tags)) : format("user:%s$%s", key, var.tags[key])]
  }

  notification {
    comparison_operator       = "GREATER_THAN"
    notification_type         = "FORECASTED"
    threshold                 = 80
    threshold_type            = "PERCENTAGE"
    subscriber_sns_topic_arns = [aws_sns_topic.alerts.arn]
  }
  notification {
    comparison_operator       = "GREATER_THAN"
    notification_type         = "ACTUAL"
    threshold                 = 100
    threshold_type            = "PERCENTAGE"
    subscriber_sns_topic_arns = [aws_sns_topic.alerts.arn]
  }

  # Budgets checks that it may publish.
  depends_on = [aws_sns_topic_policy.alerts]
}

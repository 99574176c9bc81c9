# Who is told of what.

mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-west-1:123456789012:widgets-dev-alerts" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  prefix                   = "widgets-dev"
  environment              = "dev"
  account_id               = "123456789012"
  region                   = "eu-west-1"
  key_alias                = "alias/widgets-dev"
  tags                     = { Project = "widgets", Environment = "dev" }
  email                    = "ml@example.com"
  budget_usd               = 200
  pipeline                 = "widgets-dev"
  endpoint                 = "widgets-dev"
  variant                  = "main"
  deployer                 = "widgets-dev-deployer"
  deployer_log_group       = "/aws/lambda/widgets-dev-deployer"
  deployer_timeout_seconds = 300
  failed_queue             = "widgets-dev-deployer-failed"
  retry_attempts           = 8
  event_age_seconds        = 3600
}

run "all_is_told_to_the_topic" {
  command = apply

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset(["duration", "errors", "failed-events", "logged-errors", "throttles"])
    error_message = "One alarm for each way in which the deployer fails."
  }
  assert {
    condition     = alltrue([for one in aws_cloudwatch_metric_alarm.this : toset(one.alarm_actions) == toset(["arn:aws:sns:eu-west-1:123456789012:widgets-dev-alerts"])])
    error_message = "Every alarm is told."
  }
  assert {
    condition = (
      one(aws_cloudwatch_event_target.failed_execution.dead_letter_config).arn == "arn:aws:sqs:eu-west-1:123456789012:widgets-dev-deployer-failed" &&
      one(aws_cloudwatch_event_target.failed_execution.retry_policy).maximum_retry_attempts == 8 &&
      one(aws_cloudwatch_event_target.failed_execution.retry_policy).maximum_event_age_in_seconds == 3600
    )
    error_message = "A notice that the topic does not take is sent again, and then kept."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.this["duration"].threshold == 240000
    error_message = "80 % of 300 seconds, in milliseconds."
  }
  assert {
    condition = (
      aws_cloudwatch_metric_alarm.this["logged-errors"].namespace == aws_cloudwatch_log_metric_filter.errors.metric_transformation[0].namespace &&
      aws_cloudwatch_metric_alarm.this["logged-errors"].metric_name == aws_cloudwatch_log_metric_filter.errors.metric_transformation[0].name
    )
    error_message = "The alarm must look at the metric that the filter makes."
  }
  assert {
    condition = (
      [for one in aws_budgets_budget.this[0].notification : [one.notification_type, one.threshold] if one.notification_type == "FORECASTED"] == [["FORECASTED", 80]] &&
      [for one in aws_budgets_budget.this[0].notification : [one.notification_type, one.threshold] if one.notification_type == "ACTUAL"] == [["ACTUAL", 100]]
    )
    error_message = "80 % forecast and 100 % spent."
  }
  assert {
    condition     = toset(one(aws_budgets_budget.this[0].cost_filter).values) == toset(["user:Environment$dev", "user:Project$widgets"])
    error_message = "The budget counts what has this environment's tags."
  }
  assert {
    condition     = one(aws_sns_topic_subscription.email).endpoint == "ml@example.com"
    error_message = "Who asked for mail gets it."
  }
}

run "charts_name_their_dimensions_in_a_flat_list" {
  command = plan

  assert {
    condition     = jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[0].properties.metrics[2] == ["AWS/Sagemaker/ModelBuildingPipeline", "ExecutionFailed", "PipelineName", "widgets-dev"]
    error_message = "CloudWatch wants namespace, metric, then names and values."
  }
  assert {
    condition     = jsondecode(aws_cloudwatch_dashboard.this.dashboard_body).widgets[2].properties.metrics[3] == ["widgets-dev", "DeployerErrors"]
    error_message = "The own metric has no dimensions."
  }
}

run "no_mail_and_no_budget_unless_set" {
  command = plan

  variables {
    email      = ""
    budget_usd = 0
  }
  assert {
    condition     = length(aws_sns_topic_subscription.email) == 0 && length(aws_budgets_budget.this) == 0
    error_message = "Neither was asked for."
  }
}

run "a_budget_is_not_negative" {
  command = plan

  variables {
    budget_usd = -1
  }
  expect_failures = [var.budget_usd]
}

run "mail_goes_to_an_address" {
  command = plan

  variables {
    email = "ml at example.com"
  }
  expect_failures = [var.email]
}

run "a_budget_counts_what_has_tags" {
  command = plan

  variables {
    tags = {}
  }
  expect_failures = [var.tags]
}

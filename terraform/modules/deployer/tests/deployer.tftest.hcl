# What the rules call, and how often at a time.

mock_provider "aws" {
  mock_resource "aws_lambda_alias" {
    defaults = { arn = "arn:aws:lambda:eu-west-1:123456789012:function:widgets-dev-deployer:live" }
  }
  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-west-1:123456789012:widgets-dev-deployer-failed" }
  }
  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-west-1:123456789012:rule/widgets-dev" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  name        = "widgets-dev-deployer"
  description = "Deploys"
  account_id  = "123456789012"
  region      = "eu-west-1"
  role_arn    = "arn:aws:iam::123456789012:role/widgets-dev-deployer"
  zip_file    = "tests/deployer.tftest.hcl" # any file: it is only hashed
  environment = {}
  spec = {
    runtime           = "python3.13"
    handler           = "deployment.handler.handler"
    memory_mb         = 256
    timeout_seconds   = 300
    sweep             = "rate(15 minutes)"
    retry_attempts    = 8
    event_age_seconds = 3600
  }
  patterns             = { widgets-dev-registry = "{\"source\":[\"aws.sagemaker\"]}" }
  sweep_rule           = "widgets-dev-sweep"
  alias                = "live"
  kms_key_arn          = "arn:aws:kms:eu-west-1:123456789012:key/0"
  reserved_concurrency = 0
  log_days             = 30
}

run "rules_call_the_alias" {
  command = apply

  assert {
    condition     = alltrue([for one in aws_cloudwatch_event_target.this : endswith(one.arn, ":live")])
    error_message = "Every rule must call the alias."
  }
  assert {
    condition     = alltrue([for one in aws_lambda_permission.rule : one.qualifier == "live"])
    error_message = "A permission on the function does not hold for its alias."
  }
  assert {
    condition     = aws_lambda_function_event_invoke_config.this.qualifier == "live"
    error_message = "Retries and the queue of failed events belong to what is called."
  }
  assert {
    condition     = aws_lambda_function.this.publish && aws_lambda_function.this.reserved_concurrent_executions == -1
    error_message = "A change is a new version; nothing is reserved unless set."
  }
  assert {
    condition     = aws_cloudwatch_log_group.this.kms_key_id == "arn:aws:kms:eu-west-1:123456789012:key/0"
    error_message = "Log lines are encrypted with our key."
  }
}

run "concurrency_is_reserved_on_demand" {
  command = plan

  variables {
    reserved_concurrency = 2
  }
  assert {
    condition     = aws_lambda_function.this.reserved_concurrent_executions == 2
    error_message = "As many calls at a time as the setting says."
  }
}

run "the_code_must_be_built_first" {
  command = plan

  variables {
    zip_file = "tests/nothing.zip"
  }
  expect_failures = [aws_lambda_function.this]
}

run "days_that_cloudwatch_knows" {
  command = plan

  variables {
    log_days = 31
  }
  expect_failures = [var.log_days]
}

run "other_rules_may_send_to_the_queue" {
  command = apply

  variables {
    senders = ["arn:aws:events:eu-west-1:123456789012:rule/widgets-dev-execution-failed"]
  }
  assert {
    condition = contains(
      jsondecode(aws_sqs_queue.failed.policy).Statement[0].Condition.ArnEquals["aws:SourceArn"],
      "arn:aws:events:eu-west-1:123456789012:rule/widgets-dev-execution-failed",
    )
    error_message = "The queue must take what the rule could not deliver."
  }
}

run "a_pattern_is_an_object" {
  command = plan

  variables {
    patterns = { widgets-dev-registry = "[]" }
  }
  expect_failures = [var.patterns]
}

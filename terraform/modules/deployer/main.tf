# The one function, what calls it, and where events end that it could not handle.

locals {
  queue_name = "${var.name}-failed"

  rules = merge(
    { for rule in aws_cloudwatch_event_rule.event : rule.name => { arn = rule.arn, input = null } },
    { (aws_cloudwatch_event_rule.sweep.name) = { arn = aws_cloudwatch_event_rule.sweep.arn, input = jsonencode({ action = "sweep" }) } },
  )
  rule_names = concat(keys(var.patterns), [var.sweep_rule])
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_days
  kms_key_id        = var.kms_key_arn
}

# The queue with its policy in one resource: apart, the provider waits twice for SQS to settle.
resource "aws_sqs_queue" "failed" {
  name                      = local.queue_name
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  policy = jsonencode({ # no data source: it would be read anew, and the queue changed, whenever what this module waits for changes
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EventsThatCouldNotBeDelivered"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:${var.region}:${var.account_id}:${local.queue_name}"
      Condition = { ArnEquals = { "aws:SourceArn" = sort(concat([for rule in local.rules : rule.arn], var.senders)) } }
    }]
  })
}

resource "aws_lambda_function" "this" {
  function_name    = var.name
  description      = var.description
  role             = var.role_arn
  runtime          = var.spec.runtime
  handler          = var.spec.handler
  filename         = var.zip_file
  source_code_hash = fileexists(var.zip_file) ? filebase64sha256(var.zip_file) : null
  memory_size      = var.spec.memory_mb
  timeout          = var.spec.timeout_seconds
  publish          = true

  # -1: the account's common pool.
  reserved_concurrent_executions = var.reserved_concurrency == 0 ? -1 : var.reserved_concurrency

  environment {
    variables = var.environment
  }

  lifecycle {
    precondition {
      condition     = fileexists(var.zip_file)
      error_message = "${var.zip_file} is missing. Make it: python -m deployment.package build/deployer.zip"
    }
  }

  depends_on = [aws_cloudwatch_log_group.this]
}

# What the rules call. Pointed at an older version, it takes events back to that code at once, while the function is
# repaired. The pipeline's steps call the function itself (docs/decisions/0010-terraform-modules.md).
resource "aws_lambda_alias" "live" {
  name             = var.alias
  description      = "The version that events call"
  function_name    = aws_lambda_function.this.function_name
  function_version = aws_lambda_function.this.version
}

resource "aws_lambda_function_event_invoke_config" "this" {
  function_name                = aws_lambda_function.this.function_name
  qualifier                    = aws_lambda_alias.live.name
  maximum_event_age_in_seconds = var.spec.event_age_seconds
  maximum_retry_attempts       = 2

  destination_config {
    on_failure {
      destination = aws_sqs_queue.failed.arn
    }
  }
}

resource "aws_cloudwatch_event_rule" "event" {
  for_each = var.patterns

  name          = each.key
  event_pattern = jsonencode(jsondecode(each.value))
}

resource "aws_cloudwatch_event_rule" "sweep" {
  name                = var.sweep_rule
  schedule_expression = var.spec.sweep
}

resource "aws_cloudwatch_event_target" "this" {
  for_each = toset(local.rule_names)

  rule      = each.key
  target_id = "deployer"
  arn       = aws_lambda_alias.live.arn
  input     = local.rules[each.key].input

  dead_letter_config {
    arn = aws_sqs_queue.failed.arn
  }
  retry_policy {
    maximum_retry_attempts       = var.spec.retry_attempts
    maximum_event_age_in_seconds = var.spec.event_age_seconds
  }
}

resource "aws_lambda_permission" "rule" {
  for_each = toset(local.rule_names)

  statement_id  = each.key
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.this.function_name
  qualifier     = aws_lambda_alias.live.name
  principal     = "events.amazonaws.com"
  source_arn    = local.rules[each.key].arn
}

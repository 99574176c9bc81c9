output "function_name" {
  description = "The function's name."
  value       = aws_lambda_function.this.function_name
}

output "failed_queue_name" {
  description = "Name of the queue of events that could not be handled."
  value       = aws_sqs_queue.failed.name
}

output "alias_arn" {
  description = "ARN of the alias that the rules call."
  value       = aws_lambda_alias.live.arn
}

output "log_group" {
  description = "Name of the function's log group."
  value       = aws_cloudwatch_log_group.this.name
}

output "function_name" {
  description = "The function's name."
  value       = aws_lambda_function.this.function_name
}

output "failed_queue_name" {
  description = "Name of the queue of events that could not be handled."
  value       = aws_sqs_queue.failed.name
}

output "topic_arn" {
  description = "Topic of alarms, failed executions and the budget."
  value       = aws_sns_topic.alerts.arn
}

output "dashboard" {
  description = "Name of the dashboard."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}

output "role_arns" {
  description = "Actor -> ARN of its role."
  value       = local.names.role_arns
}

output "github_role_arn" {
  description = "Role that the workflows assume; empty without github.repository."
  value       = one(module.github_role[*].arn) == null ? "" : one(module.github_role[*].arn)
}

output "deployer" {
  description = "Name of the deployer's function."
  value       = module.deployer.function_name
}

output "registry" {
  description = "Host of the image registry."
  value       = local.names.registry
}

output "alerts_topic_arn" {
  description = "Topic of alarms, failed executions and the budget."
  value       = module.operations.topic_arn
}

output "dashboard" {
  description = "Name of the CloudWatch dashboard."
  value       = module.operations.dashboard
}

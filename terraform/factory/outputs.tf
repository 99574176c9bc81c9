output "role_arns" {
  description = "Actor -> ARN of its role."
  value       = local.names.role_arns
}

output "github_role_arns" {
  description = "plan, apply, release -> the role that the workflows take for it; empty without github.repository."
  value       = { for actor, arn in module.identity.arns : trimprefix(actor, "github-") => arn if startswith(actor, "github-") }
}

output "owner_role_arn" {
  description = "The role that a release owner takes."
  value       = module.identity.arns["owner"]
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
  description = "Topic of the alarms."
  value       = aws_sns_topic.alerts.arn
}

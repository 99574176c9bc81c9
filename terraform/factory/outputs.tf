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
  description = "Topic of alarms, failed executions and the budget."
  value       = module.operations.topic_arn
}

output "dashboard" {
  description = "Name of the CloudWatch dashboard."
  value       = module.operations.dashboard
}

output "network" {
  description = "Subnets and security groups of jobs and endpoint; empty in SageMaker's own network."
  value       = local.network

  precondition {
    condition     = alltrue([for id in local.given_subnets : data.aws_subnet.existing[id].vpc_id == local.given_vpc_id])
    error_message = "aws.existing.subnet_ids are not all in ${local.given_vpc_id} (aws.existing.vpc_id, or the VPC of the first): ${join(", ", [for id in local.given_subnets : "${id} is in ${data.aws_subnet.existing[id].vpc_id}"])}. Name subnets of one VPC."
  }
  precondition {
    condition     = alltrue([for id in local.given_groups : data.aws_security_group.existing[id].vpc_id == local.given_vpc_id])
    error_message = "aws.existing.security_group_ids are not all in ${local.given_vpc_id}, the VPC of the subnets: ${join(", ", [for id in local.given_groups : "${id} is in ${data.aws_security_group.existing[id].vpc_id}"])}. Name groups of that VPC."
  }
}

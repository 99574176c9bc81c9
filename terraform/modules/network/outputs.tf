output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}

output "subnet_ids" {
  description = "The two private subnets, in two availability zones."
  value       = [for zone in ["a", "b"] : aws_subnet.private[zone].id]
}

output "security_group_id" {
  description = "The group of jobs and endpoint, once its rules stand."
  value       = aws_security_group.jobs.id

  depends_on = [
    aws_vpc_security_group_ingress_rule.between_instances,
    aws_vpc_security_group_egress_rule.between_instances,
    aws_vpc_security_group_egress_rule.endpoints,
    aws_vpc_security_group_egress_rule.s3,
  ]
}

output "endpoint_ids" {
  description = "Service's short name -> id of its interface endpoint."
  value       = try(module.endpoints[0].endpoint_ids, {})
}

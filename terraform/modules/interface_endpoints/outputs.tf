output "security_group_id" {
  description = "The group that the endpoints are in."
  value       = aws_security_group.this.id
}

output "endpoint_ids" {
  description = "Service's short name -> endpoint id."
  value       = { for name, endpoint in aws_vpc_endpoint.this : name => endpoint.id }
}

output "zones" {
  description = "Availability zones that every service is in; not each service is in each zone."
  value       = setintersection([for service in data.aws_vpc_endpoint_service.this : service.availability_zones]...)
}

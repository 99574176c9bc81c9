output "repository_arns" {
  description = "Name of a repository -> its ARN."
  value       = { for name, repository in aws_ecr_repository.this : name => repository.arn }
}

output "package_group" {
  description = "Name of the model package group."
  value       = aws_sagemaker_model_package_group.this.model_package_group_name
}

output "package_group_arn" {
  description = "ARN of the model package group."
  value       = aws_sagemaker_model_package_group.this.arn
}

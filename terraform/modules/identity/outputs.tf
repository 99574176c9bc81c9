output "arns" {
  description = "Actor -> ARN of the role that was made for it, once its policies stand."
  value       = { for actor, role in aws_iam_role.this : actor => role.arn }
  depends_on  = [aws_iam_role_policy.this, aws_iam_role_policy_attachment.shared]
}

output "boundary_arn" {
  description = "ARN of the permissions boundary."
  value       = local.boundary_arn
}

output "makes_oidc_provider" {
  description = "Whether GitHub's identity provider is made here."
  value       = length(aws_iam_openid_connect_provider.github) == 1
}

output "data_bucket" {
  description = "Bucket of the imported images."
  value       = module.data_bucket.name
}

output "artifact_bucket" {
  description = "Bucket of runs, checkpoints, packages and the release."
  value       = module.artifact_bucket.name
}

output "log_bucket" {
  description = "Bucket of the access logs."
  value       = module.log_bucket.name
}

output "key_arn" {
  description = "Key that encrypts data and artefacts."
  value       = aws_kms_key.main.arn
}

output "signing_key_arn" {
  description = "Key that signs images."
  value       = aws_kms_key.signing.arn
}

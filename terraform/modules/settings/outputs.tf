output "settings" {
  description = "The merged settings, with name and env."
  value       = local.settings

  precondition {
    condition     = local.known
    error_message = "factory.yaml has no environment ${var.environment}. Add it below environments."
  }
  precondition {
    condition     = can(regex("^[0-9]{12}$", local.account_id))
    error_message = "aws.account_id must be 12 digits in quotes."
  }
  precondition {
    condition     = !contains(keys(local.existing), "bucket")
    error_message = "aws.existing.bucket is no setting (docs/decisions/0010-terraform-modules.md says why). Images of a bucket of yours: data.source."
  }
  precondition {
    condition     = local.settings.operations.runs_days >= local.settings.training.cache_days + 7
    error_message = "operations.runs_days (${local.settings.operations.runs_days}) must be at least training.cache_days + 7 (${local.settings.training.cache_days + 7}): results must outlive the cache that names them."
  }
  precondition {
    condition     = local.settings.network.vpc != "existing" || (length(local.subnet_ids) > 0 && length(local.group_ids) > 0)
    error_message = "network.vpc is existing: name subnets and groups in aws.existing.subnet_ids and security_group_ids, or use create."
  }
}

output "names" {
  description = "Every resource's name, as contracts/names.py computes it."
  value       = local.names
}

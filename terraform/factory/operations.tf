# Who is told, and the page that shows it.

module "operations" {
  source = "../modules/operations"

  prefix      = local.names.prefix
  environment = var.environment
  account_id  = local.names.account_id
  region      = local.names.region
  key_alias   = local.names.key_alias
  tags        = local.names.tags
  email       = local.settings.operations.email
  budget_usd  = local.settings.operations.budget_usd

  pipeline                 = local.names.pipeline
  endpoint                 = local.names.endpoint
  variant                  = local.names.variant
  deployer                 = module.deployer.function_name
  deployer_log_group       = module.deployer.log_group
  deployer_timeout_seconds = local.deployer_spec.timeout_seconds
  failed_queue             = module.deployer.failed_queue_name
  retry_attempts           = local.deployer_spec.retry_attempts
  event_age_seconds        = local.deployer_spec.event_age_seconds
}

# The settings of one environment, as contracts/settings merges them: the defaults, then factory.yaml, then its
# environment; key by key, one level deep; lists and maps are replaced. The names are those of contracts/names.py.
# The command line checks values (every command does); here only what would break a resource is checked.

locals {
  defaults = yamldecode(file(var.defaults_file))
  file     = yamldecode(file(var.settings_file))
  override = try(local.file.environments[var.environment], null)

  known = var.environment == "local" || can(local.file.environments[var.environment])

  # try() stands for "this section is not there".
  sections = {
    for section, values in local.defaults : section => merge(
      values,
      try(local.file[section], {}),
      try(local.override[section], {}),
    ) if !contains(["name", "environments"], section)
  }
  # An explicit null is as if the key were not there. Dropped here, once: try() and lookup() would answer the null.
  existing = { for part, value in local.sections.aws.existing : part => value if value != null }

  settings = merge(local.sections, {
    name = try(local.file.name, local.defaults.name)
    env  = var.environment
    aws  = merge(local.sections.aws, { existing = local.existing })
  })

  account_id = local.settings.aws.account_id
  region     = local.settings.aws.region
  prefix     = "${local.settings.name}-${var.environment}"
  subnet_ids = try(local.existing.subnet_ids, [])
  group_ids  = try(local.existing.security_group_ids, [])

  names = {
    account_id           = local.account_id
    region               = local.region
    prefix               = local.prefix
    tags                 = { Project = local.settings.name, Environment = var.environment }
    data_bucket          = "${local.prefix}-data-${local.account_id}"
    artifact_bucket      = "${local.prefix}-artifacts-${local.account_id}"
    log_bucket           = "${local.prefix}-logs-${local.account_id}"
    state_bucket         = "${local.prefix}-tfstate-${local.account_id}"
    pipeline             = local.prefix
    package_group        = local.prefix
    endpoint             = local.prefix
    variant              = "main"
    registry             = "${local.account_id}.dkr.ecr.${local.region}.amazonaws.com"
    training_repository  = "${local.prefix}/training"
    inference_repository = "${local.prefix}/inference"
    deployer             = "${local.prefix}-deployer"
    deployer_arn         = "arn:aws:lambda:${local.region}:${local.account_id}:function:${local.prefix}-deployer"
    deployer_alias       = "live"
    deployer_alias_arn   = "arn:aws:lambda:${local.region}:${local.account_id}:function:${local.prefix}-deployer:live"
    registry_rule        = "${local.prefix}-registry"
    endpoint_rule        = "${local.prefix}-endpoint"
    sweep_rule           = "${local.prefix}-sweep"
    key_alias            = "alias/${local.prefix}"
    key_alias_arn        = "arn:aws:kms:${local.region}:${local.account_id}:alias/${local.prefix}"
    tracking_server      = local.prefix
    tracking_server_arn  = "arn:aws:sagemaker:${local.region}:${local.account_id}:mlflow-tracking-server/${local.prefix}"
    state_key_alias      = "alias/${local.prefix}-tfstate"
    signing_key_alias    = "alias/${local.prefix}-signing"
    settings_key         = "release/settings.json"
    no_champion_key      = "release/no-champion/none.json"
    roles                = { for actor in ["pipeline", "job", "endpoint", "deployer", "owner", "github-plan", "github-apply", "github-release", "tracking"] : actor => "${local.prefix}-${actor}" }
    role_arns = {
      for actor in ["pipeline", "job", "endpoint", "deployer"] :
      actor => coalesce(try(local.existing["${actor}_role"], null), "arn:aws:iam::${local.account_id}:role/${local.prefix}-${actor}")
    }
  }
}

# One role an actor. What each may do stands in ../policies; the local base fills in the same documents.

locals {
  policies_folder = "${path.module}/../policies"

  # cv_factory/operations/base/templates.py computes the same.
  places = {
    account_id          = local.names.account_id
    region              = local.names.region
    env                 = var.environment
    prefix              = local.names.prefix
    data_bucket         = local.names.data_bucket
    artifact_bucket     = local.names.artifact_bucket
    source_bucket       = try(regex("^s3://([^/]+)", local.settings.data.source)[0], local.names.data_bucket)
    job_role_arn        = local.names.role_arns.job
    endpoint_role_arn   = local.names.role_arns.endpoint
    tracking_server_arn = local.tracking_server_arn
    key_arn             = local.key_arn
    signing_key_arn     = local.signing_key_arn
  }

  in_network = local.settings.network.vpc != "none"
  tracked    = local.tracking_server_arn != ""

  actors = {
    pipeline = { trust = "trust-sagemaker", policies = ["pipeline"] }
    job      = { trust = "trust-sagemaker", policies = concat(["job"], local.in_network ? ["network"] : [], local.tracked ? ["tracking"] : []) }
    endpoint = { trust = "trust-sagemaker", policies = concat(["endpoint"], local.in_network ? ["network"] : []) }
    deployer = { trust = "trust-lambda", policies = ["deployer"] }
  }
  existing             = local.settings.aws.existing
  permissions_boundary = try(local.existing.permissions_boundary, null)
}

module "role" {
  source   = "../modules/role"
  for_each = { for actor, what in local.actors : actor => what if try(local.existing["${actor}_role"], null) == null }

  name                 = local.names.roles[each.key]
  trust                = templatefile("${local.policies_folder}/${each.value.trust}.json", local.places)
  policies             = { for name in each.value.policies : name => templatefile("${local.policies_folder}/${name}.json", local.places) }
  permissions_boundary = local.permissions_boundary
}

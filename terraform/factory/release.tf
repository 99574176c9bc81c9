# The deployer, and the two objects that it and the pipeline read.

locals {
  deployer_zip  = startswith(var.deployer_zip, "/") ? var.deployer_zip : "${path.root}/${var.deployer_zip}"
  deployer_spec = jsondecode(file("${path.module}/../deployer.json"))

  # contracts/release.py, ReleaseSettings. Its network is made or looked up in network.tf.
  release_settings = {
    name                      = local.settings.name
    env                       = var.environment
    account_id                = local.names.account_id
    region                    = local.names.region
    instance_type             = local.settings.serving.instance_type
    fallback_instance_types   = local.settings.serving.fallback_instance_types
    instance_count            = local.settings.serving.instance_count
    max_instances             = local.settings.serving.max_instances
    requests_per_instance     = local.settings.serving.requests_per_instance
    serverless                = local.settings.serving.serverless
    capture_share             = local.settings.serving.capture_share
    image_url_hosts           = local.settings.serving.image_url_hosts
    max_body_bytes            = local.settings.serving.max_body_mb * 1048576
    max_pixels                = local.settings.serving.max_pixels
    max_instances_per_request = local.settings.serving.max_images_per_request
    max_frames                = local.settings.serving.max_frames
    max_json_depth            = local.settings.serving.max_json_depth
    max_headers               = local.settings.serving.max_headers
    max_header_bytes          = local.settings.serving.max_header_kb * 1024
    queue                     = local.settings.serving.queue
    deadline_seconds          = local.settings.serving.deadline_seconds
    read_seconds              = local.settings.serving.read_seconds
    log_share                 = local.settings.serving.log_share
    staging                   = local.settings.release.staging
    scan_severity             = local.settings.release.scan_severity
    strategy                  = local.settings.release.strategy
    percent                   = local.settings.release.percent
    bake_minutes              = local.settings.release.bake_minutes
    termination_minutes       = local.settings.release.termination_minutes
    guards                    = local.settings.release.guards
    log_days                  = local.settings.operations.log_days
    expire_hours              = local.settings.release.expire_hours
    isolated_endpoint         = contains(local.settings.network.isolated, "endpoint")
    kms_key_id                = local.names.key_alias_arn
    endpoint_role_arn         = local.names.role_arns.endpoint
    network                   = local.network
  }
}

resource "aws_s3_object" "settings" {
  bucket       = local.names.artifact_bucket
  key          = local.names.settings_key
  content      = jsonencode(local.release_settings)
  content_type = "application/json"
}

resource "aws_s3_object" "no_champion" {
  bucket       = local.names.artifact_bucket
  key          = local.names.no_champion_key
  content      = jsonencode({ champion = null })
  content_type = "application/json"
}

module "deployer" {
  source = "../modules/deployer"

  name        = local.names.deployer
  description = "Deploys what is approved in ${local.names.package_group}"
  account_id  = local.names.account_id
  region      = local.names.region
  role_arn    = local.names.role_arns.deployer
  zip_file    = local.deployer_zip
  spec        = local.deployer_spec
  environment = { CVF_SETTINGS_URI = "s3://${local.names.artifact_bucket}/${local.names.settings_key}" }
  patterns = {
    (local.names.registry_rule) = templatefile("${path.module}/../events/registry.json", local.places)
    (local.names.endpoint_rule) = templatefile("${path.module}/../events/endpoint.json", local.places)
  }
  sweep_rule           = local.names.sweep_rule
  senders              = ["arn:aws:events:${local.names.region}:${local.names.account_id}:rule/${local.names.prefix}-execution-failed"]
  alias                = local.names.deployer_alias
  kms_key_arn          = local.key_arn
  log_days             = local.settings.operations.log_days
  reserved_concurrency = local.settings.operations.reserved_concurrency

  depends_on = [module.identity, aws_s3_object.settings]
}

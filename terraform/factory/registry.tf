# Where images and models are registered.

module "registry" {
  source = "../modules/registry"

  training_repository  = local.names.training_repository
  inference_repository = local.names.inference_repository
  package_group        = local.names.package_group
  description          = "Models of ${local.names.prefix}"
  kms_key_arn          = local.key_arn
  images_keep          = local.settings.operations.images_keep
  readers              = local.settings.release.readers
}

# Where images and models are registered.

resource "aws_ecr_repository" "this" {
  for_each = toset([local.names.training_repository, local.names.inference_repository])

  name                 = each.key
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = local.key_arn
  }
}

resource "aws_sagemaker_model_package_group" "this" {
  model_package_group_name        = local.names.package_group
  model_package_group_description = "Models of ${local.names.prefix}"
}

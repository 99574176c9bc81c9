# Where images and models are registered, and which other accounts may read them.

locals {
  repositories = toset([var.training_repository, var.inference_repository])
  shared       = length(var.readers) > 0
  readers      = [for account in sort(var.readers) : "arn:aws:iam::${account}:root"]
}

resource "aws_ecr_repository" "this" {
  for_each = local.repositories

  name                 = each.key
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }
}

# No lifecycle rule can ask the model registry which images its packages name, so no rule may touch an image that a
# package may name. Those are the inference images: a package holds their digest, and whoever deploys it, or rolls back
# to it years later, pulls it. Their tags never move and never expire (about 170 MB each). Training images are pulled by
# jobs only, of the source that is trained; a package keeps their digest as provenance, and nobody pulls it again. They
# are about 5 GB each, so only the newest stay.
# Untagged are images whose tag was deleted by hand, and uploads that never got one.
resource "aws_ecr_lifecycle_policy" "this" {
  for_each = local.repositories

  repository = aws_ecr_repository.this[each.key].name
  policy = jsonencode({
    rules = concat(
      [{
        rulePriority = 1
        description  = "Untagged images"
        selection = {
          tagStatus   = "untagged"
          countType   = "sinceImagePushed"
          countUnit   = "days"
          countNumber = 14
        }
        action = { type = "expire" }
      }],
      [for count in each.key == var.training_repository ? [var.images_keep] : [] : {
        rulePriority = 2
        description  = "All but the newest images of sources"
        selection = {
          tagStatus     = "tagged"
          tagPrefixList = ["src-"]
          countType     = "imageCountMoreThan"
          countNumber   = count
        }
        action = { type = "expire" }
      }],
    )
  })
}

data "aws_iam_policy_document" "pull" {
  count = local.shared ? 1 : 0

  statement {
    sid = "ReadersPull"
    actions = [
      "ecr:BatchCheckLayerAvailability",
      "ecr:BatchGetImage",
      "ecr:GetDownloadUrlForLayer",
    ]

    principals {
      type        = "AWS"
      identifiers = local.readers
    }
  }
}

# Readers run models, they do not train them: the training repository is not shared.
resource "aws_ecr_repository_policy" "pull" {
  count = local.shared ? 1 : 0

  repository = aws_ecr_repository.this[var.inference_repository].name
  policy     = data.aws_iam_policy_document.pull[0].json
}

resource "aws_sagemaker_model_package_group" "this" {
  model_package_group_name        = var.package_group
  model_package_group_description = var.description
}

data "aws_iam_policy_document" "group" {
  count = local.shared ? 1 : 0

  # SageMaker Developer Guide, "Cross-account discoverability": these actions on the group and on its packages.
  statement {
    sid = "ReadersRead"
    actions = [
      "sagemaker:DescribeModelPackage",
      "sagemaker:DescribeModelPackageGroup",
      "sagemaker:ListModelPackages",
    ]
    resources = [
      aws_sagemaker_model_package_group.this.arn,
      "${replace(aws_sagemaker_model_package_group.this.arn, ":model-package-group/", ":model-package/")}/*",
    ]

    principals {
      type        = "AWS"
      identifiers = local.readers
    }
  }
}

resource "aws_sagemaker_model_package_group_policy" "this" {
  count = local.shared ? 1 : 0

  model_package_group_name = aws_sagemaker_model_package_group.this.model_package_group_name
  resource_policy          = jsonencode(jsondecode(data.aws_iam_policy_document.group[0].json))
}

# Which images go, and who may read.

mock_provider "aws" {
  mock_resource "aws_sagemaker_model_package_group" {
    defaults = { arn = "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/widgets-dev" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  training_repository  = "widgets-dev/training"
  inference_repository = "widgets-dev/inference"
  package_group        = "widgets-dev"
  description          = "Models of widgets-dev"
  kms_key_arn          = "arn:aws:kms:eu-west-1:123456789012:key/0"
  images_keep          = 7
  readers              = []
}

run "an_image_that_a_package_may_name_never_expires" {
  command = plan

  assert {
    condition     = [for one in jsondecode(aws_ecr_lifecycle_policy.this["widgets-dev/inference"].policy).rules : one.selection.tagStatus] == ["untagged"]
    error_message = "No rule may touch a tagged inference image."
  }
  assert {
    condition = [
      for one in jsondecode(aws_ecr_lifecycle_policy.this["widgets-dev/training"].policy).rules : one.selection.countNumber
    ] == [14, 7]
    error_message = "Untagged images stay 14 days, and the newest seven training images."
  }
  assert {
    condition = alltrue([
      for one in aws_ecr_repository.this :
      one.image_tag_mutability == "IMMUTABLE" && one.image_scanning_configuration[0].scan_on_push && one.encryption_configuration[0].encryption_type == "KMS"
    ])
    error_message = "Tags never move, images are scanned and encrypted with our key."
  }
  assert {
    condition     = length(aws_ecr_repository_policy.pull) == 0 && length(aws_sagemaker_model_package_group_policy.this) == 0
    error_message = "Without readers nothing is shared."
  }
}

run "readers_read_packages_and_pull_what_they_name" {
  command = apply

  variables {
    readers = ["210987654321", "111122223333"]
  }
  assert {
    condition = [for one in data.aws_iam_policy_document.group[0].statement[0].resources : one] == [
      "arn:aws:sagemaker:eu-west-1:123456789012:model-package-group/widgets-dev",
      "arn:aws:sagemaker:eu-west-1:123456789012:model-package/widgets-dev/*",
    ]
    error_message = "The group and its packages."
  }
  assert {
    condition     = alltrue([for one in data.aws_iam_policy_document.group[0].statement[0].actions : can(regex("^sagemaker:(Describe|List)", one))])
    error_message = "Readers change nothing."
  }
  assert {
    condition     = one(aws_ecr_repository_policy.pull).repository == "widgets-dev/inference"
    error_message = "Only inference images are shared."
  }
  assert {
    condition = toset(one(data.aws_iam_policy_document.pull[0].statement[0].principals).identifiers) == toset([
      "arn:aws:iam::111122223333:root", "arn:aws:iam::210987654321:root",
    ])
    error_message = "Exactly the readers may pull."
  }
}

run "a_reader_is_an_account" {
  command = plan

  variables {
    readers = ["*"]
  }
  expect_failures = [var.readers]
}

run "at_least_one_image_stays" {
  command = plan

  variables {
    images_keep = 0
  }
  expect_failures = [var.images_keep]
}

run "a_repository_s_name_is_ecr_s" {
  command = plan

  variables {
    training_repository = "Widgets/training"
  }
  expect_failures = [var.training_repository]
}

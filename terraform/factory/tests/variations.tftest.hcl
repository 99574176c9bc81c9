# Settings that change which resources there are. No account, no network: the provider is a mock.

mock_provider "aws" {
  mock_data "aws_kms_alias" {
    defaults = { target_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  settings_file = "tests/existing.yaml"
  deployer_zip  = "tests/existing.yaml" # any file: it is only hashed
}

run "existing_parts_are_used" {
  command = plan

  variables {
    environment = "dev"
  }
  assert {
    condition     = toset(keys(module.identity.arns)) == toset(["deployer", "endpoint", "github-apply", "github-plan", "github-release", "owner", "pipeline"])
    error_message = "aws.existing.job_role is there, and only the other roles are to be made."
  }
  assert {
    condition     = jsondecode(aws_s3_object.settings.content).network == { subnets = ["subnet-0a0a0a0a"], security_groups = ["sg-0a0a0a0a"] }
    error_message = "The deployer must get the existing network."
  }
  assert {
    condition     = module.identity.boundary_arn == "arn:aws:iam::123456789012:policy/their-boundary"
    error_message = "The boundary is there: none is to be made."
  }
  assert {
    condition     = output.role_arns.job == "arn:aws:iam::123456789012:role/their-job-role"
    error_message = "The existing role must be answered."
  }
}

run "nothing_for_a_repository_or_mail_that_is_not_set" {
  command = plan

  variables {
    environment = "bare"
  }
  assert {
    condition     = length([for actor in keys(module.identity.arns) : actor if startswith(actor, "github")]) == 0
    error_message = "Without github.repository there is no role for it."
  }
  assert {
    condition     = length(aws_sns_topic_subscription.email) == 0
    error_message = "Without operations.email nobody is subscribed."
  }
  assert {
    condition     = length(keys(jsondecode(aws_s3_object.settings.content).network)) == 0
    error_message = "network.vpc none is an empty network."
  }
}

run "an_environment_has_a_name" {
  command = plan

  variables {
    environment = "Not an environment"
  }
  expect_failures = [var.environment]
}

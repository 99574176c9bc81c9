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
    condition     = toset(keys(module.role)) == toset(["deployer", "endpoint", "pipeline"])
    error_message = "aws.existing.job_role is there, and only the other roles are to be made."
  }
  assert {
    condition     = jsondecode(aws_s3_object.settings.content).network == { subnets = ["subnet-0a0a0a0a"], security_groups = ["sg-0a0a0a0a"] }
    error_message = "The deployer must get the existing network."
  }
  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && length(module.github_role) == 1
    error_message = "The identity provider is there; the role is not."
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
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && length(module.github_role) == 0
    error_message = "Without github.repository there is no role for it."
  }
  assert {
    condition     = length(keys(jsondecode(aws_s3_object.settings.content).network)) == 0
    error_message = "network.vpc none is an empty network."
  }
}

run "a_null_is_as_if_it_were_not_there" {
  command = plan

  variables {
    environment = "nulls"
  }
  assert {
    condition     = output.role_arns.job == "arn:aws:iam::123456789012:role/widgets-nulls-job" && contains(keys(module.role), "job")
    error_message = "The role must be made, and be the one that is answered."
  }
  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 1
    error_message = "The identity provider must be made."
  }
}

run "no_tracking_server_unless_asked_for" {
  command = plan

  variables {
    environment = "dev"
  }
  assert {
    condition     = length(aws_sagemaker_mlflow_tracking_server.this) == 0 && length(module.tracking_role) == 0
    error_message = "It costs by the hour."
  }
}

run "a_tracking_server_of_one_s_own" {
  command = plan

  variables {
    environment = "tracked"
  }
  assert {
    condition     = one(aws_sagemaker_mlflow_tracking_server.this).artifact_store_uri == "s3://widgets-tracked-artifacts-123456789012/mlflow"
    error_message = "Its artefacts lie in the artifact bucket."
  }
  assert {
    condition     = endswith(local.names.tracking_server_arn, "/${one(aws_sagemaker_mlflow_tracking_server.this).tracking_server_name}")
    error_message = "The ARN that jobs get must be that of the server that is made."
  }
  assert {
    condition     = local.places.tracking_server_arn == local.names.tracking_server_arn && contains(local.actors.job.policies, "tracking")
    error_message = "Jobs may log to it."
  }
}

run "an_environment_has_a_name" {
  command = plan

  variables {
    environment = "Not an environment"
  }
  expect_failures = [var.environment]
}

# Settings that change which resources there are. No account, no network: the provider is a mock.

mock_provider "aws" {
  mock_data "aws_kms_alias" {
    defaults = { target_key_arn = "arn:aws:kms:eu-west-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_data "aws_vpc_endpoint_service" {
    defaults = { availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"], vpc_endpoint_policy_supported = true }
  }
  mock_data "aws_subnet" {
    defaults = { vpc_id = "vpc-0a0a0a0a", availability_zone = "eu-west-1a" }
  }
  mock_data "aws_security_group" {
    defaults = { vpc_id = "vpc-0a0a0a0a" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1b", "eu-west-1a"] }
  }
}

# The second subnet lies in another zone.
override_data {
  target = data.aws_subnet.existing["subnet-0b0b0b0b"]
  values = { vpc_id = "vpc-0a0a0a0a", availability_zone = "eu-west-1b" }
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
    condition     = jsondecode(aws_s3_object.settings.content).network == { subnets = ["subnet-0a0a0a0a", "subnet-0b0b0b0b"], security_groups = ["sg-0a0a0a0a"] }
    error_message = "The deployer must get the existing network."
  }
  assert {
    condition     = module.identity.boundary_arn == "arn:aws:iam::123456789012:policy/their-boundary" && !module.identity.makes_oidc_provider
    error_message = "Boundary and identity provider are there: none is to be made."
  }
  assert {
    condition     = length(module.network) == 0 && length(module.interface_endpoints) == 0
    error_message = "Nothing is made in a VPC of somebody else, unless network.endpoints says so."
  }
  assert {
    condition     = output.role_arns.job == "arn:aws:iam::123456789012:role/their-job-role"
    error_message = "The existing role must be answered."
  }
}

run "endpoints_in_an_existing_vpc" {
  command = plan

  variables {
    environment = "always"
  }
  assert {
    condition     = toset(keys(local.services)) == toset(["ecr.api", "ecr.dkr", "experiments", "kms", "logs", "monitoring", "sagemaker.api", "sts"])
    error_message = "The isolated endpoint's own calls are left out, and the tracking server is reached."
  }
  assert {
    condition     = length(module.interface_endpoints) == 1
    error_message = "network.endpoints: always makes them in the existing VPC."
  }
}

run "subnets_of_another_vpc_are_refused" {
  command = plan

  variables {
    environment = "elsewhere"
  }
  expect_failures = [output.network]
}

run "subnets_in_one_zone_are_warned_of" {
  command = plan

  variables {
    environment = "onezone"
  }
  expect_failures = [check.two_zones]
}

run "a_network_of_its_own" {
  command = plan

  variables {
    environment = "own"
  }
  assert {
    condition     = length(module.network) == 1 && length(data.aws_subnet.existing) == 0
    error_message = "network.vpc: create makes the network, whatever aws.existing says."
  }
  assert {
    condition     = toset(keys(local.services)) == toset(["ecr.api", "ecr.dkr", "kms", "logs", "monitoring", "sagemaker.api", "sagemaker.runtime", "sts"])
    error_message = "The interface endpoints follow from what the steps call."
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
    condition     = output.role_arns.job == "arn:aws:iam::123456789012:role/widgets-nulls-job" && contains(keys(module.identity.arns), "job")
    error_message = "The role must be made, and be the one that is answered."
  }
  assert {
    condition     = module.identity.makes_oidc_provider
    error_message = "The identity provider must be made."
  }
}

run "no_tracking_server_unless_asked_for" {
  command = plan

  variables {
    environment = "dev"
  }
  assert {
    condition     = length(aws_sagemaker_mlflow_tracking_server.this) == 0 && !contains(keys(module.identity.arns), "tracking")
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

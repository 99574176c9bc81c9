# No account, no network: the provider is a mock.

mock_provider "aws" {}

variables {
  roles = {
    job = {
      name        = "widgets-dev-job"
      description = "Jobs"
      trust       = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
      policies    = { job = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
      shared      = ["reads"]
    }
    plan = {
      name        = "widgets-dev-plan"
      description = "Plans"
      trust       = "{\"Version\":\"2012-10-17\",\"Statement\":[]}"
      policies    = {}
      shared      = ["reads"]
    }
  }
  shared_policies = {
    reads = { name = "widgets-dev-reads", description = "Reads", document = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  boundary = { name = "widgets-dev-boundary", document = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
}

run "each_role_has_its_policies_and_the_shared_ones" {
  command = plan

  assert {
    condition     = toset(keys(aws_iam_role_policy.this)) == toset(["job/job"])
    error_message = "One inline policy."
  }
  assert {
    condition     = toset(keys(aws_iam_role_policy_attachment.shared)) == toset(["job/reads", "plan/reads"])
    error_message = "The shared policy belongs to both."
  }
  assert {
    condition     = length(aws_iam_policy.boundary) == 1 && !output.makes_oidc_provider
    error_message = "A boundary is made, an identity provider only when asked for."
  }
}

run "a_boundary_that_is_there_is_used" {
  command = plan

  variables {
    permissions_boundary = "arn:aws:iam::123456789012:policy/theirs"
  }
  assert {
    condition     = length(aws_iam_policy.boundary) == 0 && alltrue([for role in values(aws_iam_role.this) : role.permissions_boundary == "arn:aws:iam::123456789012:policy/theirs"])
    error_message = "Every role has their boundary."
  }
}

run "a_name_that_is_too_long" {
  command = plan

  variables {
    roles = {
      job = { name = join("", [for i in range(65) : "x"]), description = "", trust = "{\"Statement\":[]}", policies = {}, shared = [] }
    }
  }
  expect_failures = [var.roles]
}

run "policies_that_do_not_fit_a_role" {
  command = plan

  variables {
    roles = {
      job = {
        name        = "widgets-dev-job"
        description = ""
        trust       = "{\"Statement\":[]}"
        policies    = { all = jsonencode({ Statement = [for i in range(700) : "0123456789012345"] }) }
        shared      = []
      }
    }
  }
  expect_failures = [var.roles]
}

run "a_document_that_is_none" {
  command = plan

  variables {
    boundary = { name = "widgets-dev-boundary", document = "everything" }
  }
  expect_failures = [var.boundary]
}

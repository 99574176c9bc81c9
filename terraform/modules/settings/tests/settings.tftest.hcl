# How settings are merged, and what is refused. It needs no provider.

variables {
  settings_file = "tests/settings.yaml"
  defaults_file = "tests/defaults.yaml"
}

run "defaults_file_and_environment_are_merged_key_by_key" {
  command = plan

  variables {
    environment = "dev"
  }
  assert {
    condition     = output.settings.training == { cache_days = 30, instance_type = "ml.m5.large" }
    error_message = "The environment changes the keys that it names, and no others."
  }
  assert {
    condition     = output.settings.operations == { runs_days = 45, log_days = 14 } && output.settings.network.isolated == ["train"]
    error_message = "The file stands above the defaults; lists are replaced."
  }
  assert {
    condition     = output.names.prefix == "widgets-dev" && output.names.data_bucket == "widgets-dev-data-123456789012"
    error_message = "Names begin with the factory and its environment."
  }
  assert {
    condition = (
      output.names.role_arns.job == "arn:aws:iam::123456789012:role/theirs" &&
      output.names.role_arns.endpoint == "arn:aws:iam::123456789012:role/widgets-dev-endpoint"
    )
    error_message = "An existing role is taken; a null is as if it were not there."
  }
}

run "seven_days_after_the_cache_is_enough" {
  command = plan

  variables {
    environment = "exact"
  }
  assert {
    condition     = output.settings.operations.runs_days == output.settings.training.cache_days + 7
    error_message = "The environment is at the limit."
  }
}

run "runs_must_not_expire_before_the_cache" {
  command = plan

  variables {
    environment = "early"
  }
  expect_failures = [output.settings]
}

run "an_environment_that_is_not_there" {
  command = plan

  variables {
    environment = "qa"
  }
  expect_failures = [output.settings]
}

run "an_environment_s_name" {
  command = plan

  variables {
    environment = "Dev"
  }
  expect_failures = [var.environment]
}

run "an_account_has_twelve_digits" {
  command = plan

  variables {
    environment = "nowhere"
  }
  expect_failures = [output.settings]
}

run "a_bucket_of_somebody_else" {
  command = plan

  variables {
    environment = "shared"
  }
  expect_failures = [output.settings]
}

run "an_existing_network_is_named" {
  command = plan

  variables {
    environment = "hollow"
  }
  expect_failures = [output.settings]
}

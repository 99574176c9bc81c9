# No account, no network: the provider is a mock.

mock_provider "aws" {
  mock_data "aws_vpc_endpoint_service" {
    defaults = { availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"], vpc_endpoint_policy_supported = true }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  name          = "widgets-dev"
  account_id    = "123456789012"
  vpc_id        = "vpc-0a0a0a0a"
  subnet_ids    = ["subnet-0a0a0a0a"]
  client_groups = { jobs = "sg-0a0a0a0a" }
  services      = { sts = "com.amazonaws.eu-west-1.sts", experiments = "aws.sagemaker.eu-west-1.experiments" }
}

run "private_names_and_a_policy_where_the_service_takes_one" {
  command = plan

  assert {
    condition     = alltrue([for endpoint in values(aws_vpc_endpoint.this) : endpoint.private_dns_enabled && endpoint.vpc_endpoint_type == "Interface"])
    error_message = "The services' ordinary names must lead to the endpoints."
  }
  assert {
    condition     = aws_vpc_endpoint.this["sts"].policy == data.aws_iam_policy_document.this.json
    error_message = "Only principals of the account may use the endpoint."
  }
  assert {
    condition = alltrue([
      for rule in values(aws_vpc_security_group_ingress_rule.clients) :
      rule.from_port == 443 && rule.to_port == 443 && rule.referenced_security_group_id == "sg-0a0a0a0a"
    ])
    error_message = "The clients' groups come in on 443."
  }
}

run "the_zones_are_those_of_every_service" {
  command = plan

  override_data {
    target = data.aws_vpc_endpoint_service.this["experiments"]
    values = { availability_zones = ["eu-west-1b", "eu-west-1d"], vpc_endpoint_policy_supported = true }
  }
  assert {
    condition     = output.zones == toset(["eu-west-1b"])
    error_message = "Only the zone that both services are in is answered."
  }
}

run "a_service_without_its_region_is_refused" {
  command = plan

  variables {
    services = { sts = "sts" }
  }
  expect_failures = [var.services]
}

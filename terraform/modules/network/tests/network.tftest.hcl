# What the network consists of, by its variables. No account, no network: the provider is a mock.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-west-1c", "eu-west-1a", "eu-west-1b"] }
  }
  mock_data "aws_vpc_endpoint_service" {
    defaults = { availability_zones = ["eu-west-1a", "eu-west-1b", "eu-west-1c"], vpc_endpoint_policy_supported = true }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/widgets-dev-flow-logs" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/vpc/widgets-dev" }
  }
}

variables {
  name         = "widgets-dev"
  account_id   = "123456789012"
  region       = "eu-west-1"
  cidr         = "10.20.0.0/16"
  s3_service   = "com.amazonaws.eu-west-1.s3"
  services     = { sts = "com.amazonaws.eu-west-1.sts", experiments = "aws.sagemaker.eu-west-1.experiments" }
  buckets      = ["widgets-data"]
  read_buckets = ["theirs"]
  nat          = false
  log_days     = 14
}

run "two_private_subnets_in_two_zones" {
  command = plan

  assert {
    condition     = [for key in ["a", "b"] : aws_subnet.private[key].cidr_block] == ["10.20.0.0/18", "10.20.64.0/18"]
    error_message = "The private subnets are the first two quarters."
  }
  assert {
    condition     = [for key in ["a", "b"] : aws_subnet.private[key].availability_zone] == ["eu-west-1a", "eu-west-1b"]
    error_message = "The zones are the first two by name, whatever order AWS answers."
  }
  assert {
    condition     = length(aws_route_table_association.private) == 2
    error_message = "Both subnets use the private route table."
  }
}

run "a_zone_that_a_service_is_not_in_is_left_out" {
  command = plan

  override_data {
    target = module.endpoints[0].data.aws_vpc_endpoint_service.this["sts"]
    values = { availability_zones = ["eu-west-1b", "eu-west-1c"] }
  }
  assert {
    condition     = [for key in ["a", "b"] : aws_subnet.private[key].availability_zone] == ["eu-west-1b", "eu-west-1c"]
    error_message = "The endpoints must find an address in both zones."
  }
}

run "no_way_out_but_the_endpoints" {
  command = plan

  assert {
    condition     = length(aws_nat_gateway.this) == 0 && length(aws_internet_gateway.this) == 0 && length(aws_route.private) == 0
    error_message = "Without nat there is no gateway and no route to the internet."
  }
  assert {
    condition     = length(aws_vpc_security_group_egress_rule.internet) == 0
    error_message = "Without nat the group lets nothing out to the internet."
  }
  assert {
    condition = alltrue([
      for rule in [aws_vpc_security_group_egress_rule.s3, aws_vpc_security_group_egress_rule.endpoints[0]] :
      rule.ip_protocol == "tcp" && rule.from_port == 443 && rule.to_port == 443
    ])
    error_message = "S3 and the interface endpoints are reached on 443 only."
  }
}

run "one_interface_endpoint_for_each_service" {
  command = apply

  assert {
    condition     = toset(keys(output.endpoint_ids)) == toset(["sts", "experiments"])
    error_message = "The endpoints are those of var.services."
  }
  assert {
    condition     = length(output.subnet_ids) == 2 && output.security_group_id == aws_security_group.jobs.id
    error_message = "The outputs are what jobs are started with."
  }
}

run "no_services_no_endpoints_and_no_group_for_them" {
  command = plan

  variables {
    services = {}
  }
  assert {
    condition     = length(module.endpoints) == 0 && length(aws_vpc_security_group_egress_rule.endpoints) == 0
    error_message = "S3's gateway is the only way out."
  }
}

run "nat_is_one_gateway_in_the_first_zone" {
  command = plan

  variables {
    nat = true
  }
  assert {
    condition     = length(aws_nat_gateway.this) == 1 && aws_subnet.public[0].availability_zone == "eu-west-1a"
    error_message = "One gateway, in the first zone."
  }
  assert {
    condition     = aws_subnet.public[0].cidr_block == "10.20.128.0/20" && aws_route.private[0].destination_cidr_block == "0.0.0.0/0"
    error_message = "The public subnet lies behind the private ones, which are routed through it."
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.internet[0].from_port == 443 && aws_vpc_security_group_egress_rule.internet[0].to_port == 443
    error_message = "The internet is reached on 443 only."
  }
}

run "the_smallest_network_leaves_room_for_jobs" {
  command = plan

  variables {
    cidr = "10.20.30.0/24"
  }
  assert {
    condition     = aws_subnet.private["b"].cidr_block == "10.20.30.64/26"
    error_message = "A quarter of a /24 is a /26."
  }
}

run "a_smaller_one_is_refused" {
  command = plan

  variables {
    cidr = "10.20.30.0/25"
  }
  expect_failures = [var.cidr]
}

run "a_larger_one_is_refused" {
  command = plan

  variables {
    cidr = "10.0.0.0/8"
  }
  expect_failures = [var.cidr]
}

run "an_address_inside_a_network_is_refused" {
  command = plan

  variables {
    cidr = "10.20.0.1/16"
  }
  expect_failures = [var.cidr]
}

run "a_region_with_one_zone_is_refused" {
  command = plan

  override_data {
    target = data.aws_availability_zones.available
    values = { names = ["eu-west-1a"] }
  }
  expect_failures = [data.aws_availability_zones.available]
}

run "days_that_cloudwatch_knows" {
  command = plan

  variables {
    log_days = 31
  }
  expect_failures = [var.log_days]
}

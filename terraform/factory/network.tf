# Where jobs and the endpoint run: SageMaker's own network (none), a VPC that is made here (create), or one that is there
# (existing).

locals {
  vpc = local.settings.network.vpc

  # Which service needs a way in: cv_factory/operations/base/network.py derives the same from the same table.
  table = jsondecode(templatefile("${path.module}/../endpoints.json", { region = local.names.region }))
  called = sort(distinct(concat(
    local.table.platform,
    flatten([for step, services in local.table.container : services if !contains(local.settings.network.isolated, step)]),
    local.tracked ? local.table.tracking : [],
  )))
  with_endpoints = local.settings.network.endpoints == "always" || (local.vpc == "create" && local.settings.network.endpoints == "auto")
  services       = { for service in local.called : service => local.table.services[service] if local.with_endpoints }

  given_subnets = local.vpc == "existing" ? try(local.existing.subnet_ids, []) : []
  given_groups  = local.vpc == "existing" ? try(local.existing.security_group_ids, []) : []
  given_vpc_id  = try(local.existing.vpc_id, null) != null ? local.existing.vpc_id : try(data.aws_subnet.existing[local.given_subnets[0]].vpc_id, "")
  # One subnet for each availability zone that there is: an interface endpoint takes no more.
  subnet_of_zone = { for id in reverse(local.given_subnets) : data.aws_subnet.existing[id].availability_zone => id... }

  # A conditional cannot have two shapes, a JSON text can.
  network = jsondecode({
    none     = "{}"
    create   = jsonencode({ subnets = try(module.network[0].subnet_ids, []), security_groups = module.network[*].security_group_id })
    existing = jsonencode({ subnets = local.given_subnets, security_groups = local.given_groups })
  }[local.vpc])
}

module "network" {
  source = "../modules/network"
  count  = local.vpc == "create" ? 1 : 0

  name                 = local.names.prefix
  account_id           = local.names.account_id
  region               = local.names.region
  cidr                 = local.settings.network.cidr
  nat                  = local.settings.network.nat
  s3_service           = local.table.services.s3
  services             = local.services
  buckets              = [local.names.data_bucket, local.names.artifact_bucket]
  read_buckets         = setsubtract([local.places.source_bucket], [local.names.data_bucket])
  log_days             = local.settings.operations.log_days
  kms_key_arn          = local.key_arn
  permissions_boundary = module.identity.boundary_arn
}

data "aws_subnet" "existing" {
  for_each = toset(local.given_subnets)

  id = each.key
}

data "aws_security_group" "existing" {
  for_each = toset(local.given_groups)

  id = each.key
}

module "interface_endpoints" {
  source = "../modules/interface_endpoints"
  count  = local.vpc == "existing" && local.with_endpoints ? 1 : 0

  name          = local.names.prefix
  account_id    = local.names.account_id
  vpc_id        = local.given_vpc_id
  subnet_ids    = [for zone, ids in local.subnet_of_zone : ids[0]]
  client_groups = { for id in local.given_groups : id => id }
  services      = local.services
}

check "two_zones" {
  assert {
    condition     = local.vpc != "existing" || length(local.subnet_of_zone) >= 2
    error_message = "aws.existing.subnet_ids lie in one availability zone: the endpoint's instances fail together with it. Name subnets of two."
  }
}

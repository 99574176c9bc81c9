# A VPC without a way in, and without a way out but S3, the interface endpoints and, where asked for, a NAT gateway.

data "aws_availability_zones" "available" {
  state = "available"

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"] # no Local Zones
  }

  lifecycle {
    postcondition {
      condition     = length(setintersection(self.names, try(module.endpoints[0].zones, self.names))) >= 2
      error_message = "The network needs two availability zones that all its interface endpoints' services are in; this region has fewer for the account. Choose another aws.region, or set network.endpoints or network.vpc to none."
    }
  }
}

locals {
  names = data.aws_availability_zones.available.names
  zones = slice(sort(setintersection(local.names, try(module.endpoints[0].zones, local.names))), 0, 2)

  # cv_factory/operations/base/network.py computes the same. A quarter each for the jobs, so that the interface
  # endpoints, one address each, leave room even in a /24; the ninth sixteenth is the NAT gateway's.
  private = { a = cidrsubnet(var.cidr, 2, 0), b = cidrsubnet(var.cidr, 2, 1) }
  public  = cidrsubnet(var.cidr, 4, 8)
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true # private names of interface endpoints need both
  tags                 = { Name = var.name }
}

resource "aws_subnet" "private" {
  for_each = local.private

  vpc_id            = aws_vpc.this.id
  cidr_block        = each.value
  availability_zone = local.zones[each.key == "a" ? 0 : 1]
  tags              = { Name = "${var.name}-${each.key}" }
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id
  tags   = { Name = "${var.name}-private" }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  subnet_id      = each.value.id
  route_table_id = aws_route_table.private.id
}

resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  service_name      = var.s3_service
  vpc_endpoint_type = "Gateway"
  route_table_ids   = [aws_route_table.private.id]
  policy            = data.aws_iam_policy_document.s3.json
  tags              = { Name = "${var.name}-s3" }
}

data "aws_iam_policy_document" "s3" {
  statement {
    sid       = "OwnBuckets"
    actions   = ["s3:*"]
    resources = flatten([for bucket in var.buckets : ["arn:aws:s3:::${bucket}", "arn:aws:s3:::${bucket}/*"]])

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalAccount"
      values   = [var.account_id]
    }
  }

  dynamic "statement" {
    for_each = length(var.read_buckets) > 0 ? [var.read_buckets] : []

    content {
      sid       = "SourceBuckets"
      actions   = ["s3:GetBucketLocation", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket"]
      resources = flatten([for bucket in statement.value : ["arn:aws:s3:::${bucket}", "arn:aws:s3:::${bucket}/*"]])

      principals {
        type        = "AWS"
        identifiers = ["*"]
      }
      condition {
        test     = "StringEquals"
        variable = "aws:PrincipalAccount"
        values   = [var.account_id]
      }
    }
  }

  # Amazon ECR User Guide, "Amazon ECR interface VPC endpoints": layers lie in a bucket of ECR's own account.
  statement {
    sid       = "ImageLayers"
    actions   = ["s3:GetObject"]
    resources = ["arn:aws:s3:::prod-${var.region}-starport-layer-bucket/*"]

    principals {
      type        = "AWS"
      identifiers = ["*"]
    }
  }
}

module "endpoints" {
  source = "../interface_endpoints"
  count  = length(var.services) > 0 ? 1 : 0

  name          = var.name
  account_id    = var.account_id
  vpc_id        = aws_vpc.this.id
  subnet_ids    = [for zone in ["a", "b"] : aws_subnet.private[zone].id]
  client_groups = { jobs = aws_security_group.jobs.id }
  services      = var.services
}

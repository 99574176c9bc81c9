# Ways to AWS services that stay inside the VPC: one interface endpoint a service, all behind one security group that
# lets the clients' groups in on 443 and nothing else.

# Fails in a plan already where the region has no such service.
data "aws_vpc_endpoint_service" "this" {
  for_each = var.services

  service_name = each.value
  service_type = "Interface"
}

resource "aws_security_group" "this" {
  name        = "${var.name}-endpoints"
  description = "Interface endpoints of ${var.name}"
  vpc_id      = var.vpc_id
  tags        = { Name = "${var.name}-endpoints" }
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  for_each = var.client_groups

  security_group_id            = aws_security_group.this.id
  referenced_security_group_id = each.value
  description                  = "HTTPS from ${each.key}"
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

data "aws_iam_policy_document" "this" {
  statement {
    sid       = "PrincipalsOfThisAccount"
    actions   = ["*"]
    resources = ["*"]

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

resource "aws_vpc_endpoint" "this" {
  for_each = var.services

  vpc_id              = var.vpc_id
  service_name        = each.value
  vpc_endpoint_type   = "Interface"
  subnet_ids          = var.subnet_ids
  security_group_ids  = [aws_security_group.this.id]
  private_dns_enabled = true
  policy              = data.aws_vpc_endpoint_service.this[each.key].vpc_endpoint_policy_supported ? data.aws_iam_policy_document.this.json : null
  tags                = { Name = "${var.name}-${each.key}" }
}

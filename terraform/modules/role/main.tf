# A role with inline policies, and with no others.

resource "aws_iam_role" "this" {
  name                 = var.name
  assume_role_policy   = jsonencode(jsondecode(var.trust))
  permissions_boundary = var.permissions_boundary
}

resource "aws_iam_role_policy" "this" {
  for_each = var.policies

  name   = each.key
  role   = aws_iam_role.this.id
  policy = jsonencode(jsondecode(each.value))
}

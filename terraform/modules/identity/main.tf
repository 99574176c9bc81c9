# The roles of one environment, each with inline policies and with what several of them share, and no others; the boundary
# that limits all of them; GitHub's identity provider.

locals {
  boundary_arn = var.permissions_boundary == null ? one(aws_iam_policy.boundary[*].arn) : var.permissions_boundary

  policies = merge([
    for actor, role in var.roles : {
      for name, policy in role.policies : "${actor}/${name}" => { actor = actor, name = name, policy = policy }
    }
  ]...)

  attachments = merge([
    for actor, role in var.roles : { for name in role.shared : "${actor}/${name}" => { actor = actor, name = name } }
  ]...)
}

resource "aws_iam_policy" "shared" {
  for_each = var.shared_policies

  name        = each.value.name
  description = each.value.description
  policy      = jsonencode(jsondecode(each.value.document))
}

resource "aws_iam_role_policy_attachment" "shared" {
  for_each = local.attachments

  role       = aws_iam_role.this[each.value.actor].name
  policy_arn = aws_iam_policy.shared[each.value.name].arn
}

resource "aws_iam_policy" "boundary" {
  count = var.permissions_boundary == null ? 1 : 0

  name        = var.boundary.name
  description = "The most that any role of this environment can do"
  policy      = jsonencode(jsondecode(var.boundary.document))
}

resource "aws_iam_openid_connect_provider" "github" {
  count = var.make_oidc_provider ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "this" {
  for_each = var.roles

  name                 = each.value.name
  description          = each.value.description
  assume_role_policy   = jsonencode(jsondecode(each.value.trust))
  permissions_boundary = local.boundary_arn

  depends_on = [aws_iam_openid_connect_provider.github]
}

resource "aws_iam_role_policy" "this" {
  for_each = local.policies

  name   = each.value.name
  role   = aws_iam_role.this[each.value.actor].id
  policy = jsonencode(jsondecode(each.value.policy))
}

# The workflows' role: GitHub's own identity provider says who asks, so no key is stored there.

locals {
  with_github   = local.settings.github.repository != ""
  make_provider = local.with_github && try(local.existing.oidc_provider, null) == null

  oidc_provider_arn = try(
    local.existing.oidc_provider,
    "arn:aws:iam::${local.names.account_id}:oidc-provider/token.actions.githubusercontent.com",
  )
}

resource "aws_iam_openid_connect_provider" "github" {
  count = local.make_provider ? 1 : 0

  url            = "https://token.actions.githubusercontent.com"
  client_id_list = ["sts.amazonaws.com"]
}

module "github_role" {
  source = "../modules/role"
  count  = local.with_github ? 1 : 0

  name = local.names.roles.github
  trust = templatefile("${local.policies_folder}/trust-github.json", merge(local.places, {
    oidc_provider_arn = local.oidc_provider_arn
    github_repository = local.settings.github.repository
    github_branch     = local.settings.github.branch
  }))
  policies             = { github = templatefile("${local.policies_folder}/github.json", local.places) }
  permissions_boundary = local.permissions_boundary

  depends_on = [aws_iam_openid_connect_provider.github]
}

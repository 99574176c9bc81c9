# One role an actor. What each may do stands in ../policies; the local base fills in the same documents.

locals {
  policies_folder = "${path.module}/../policies"
  existing        = local.settings.aws.existing

  with_github       = local.settings.github.repository != ""
  existing_provider = try(local.existing.oidc_provider, null)
  existing_boundary = try(local.existing.permissions_boundary, null)

  # cv_factory/operations/base/templates.py computes the same.
  places = {
    account_id          = local.names.account_id
    region              = local.names.region
    env                 = var.environment
    project             = local.settings.name
    prefix              = local.names.prefix
    data_bucket         = local.names.data_bucket
    artifact_bucket     = local.names.artifact_bucket
    log_bucket          = local.names.log_bucket
    state_bucket        = local.names.state_bucket
    source_bucket       = try(regex("^s3://([^/]+)", local.settings.data.source)[0], local.names.data_bucket)
    job_role_arn        = local.names.role_arns.job
    endpoint_role_arn   = local.names.role_arns.endpoint
    tracking_server_arn = local.tracking_server_arn
    key_arn             = local.key_arn
    signing_key_arn     = local.signing_key_arn
  }
  # What only the roles of people and workflows name.
  more_places = merge(local.places, {
    pipeline_role_arn = local.names.role_arns.pipeline
    deployer_role_arn = local.names.role_arns.deployer
    github_repository = local.settings.github.repository
    github_branch     = local.settings.github.branch
    boundary_arn      = coalesce(local.existing_boundary, "arn:aws:iam::${local.names.account_id}:policy/${local.names.prefix}-boundary")
    oidc_provider_arn = coalesce(local.existing_provider, "arn:aws:iam::${local.names.account_id}:oidc-provider/token.actions.githubusercontent.com")
  })

  in_place   = startswith(local.settings.data.source, "s3://")
  in_network = local.settings.network.vpc != "none"
  tracked    = local.tracking_server_arn != ""

  # What plan and apply read. Apart from apply's own, because a role's inline policies have 10,240 characters at most.
  readings = concat(["github-plan"], local.in_network ? ["github-plan-network"] : [])

  # when: whether the role is made at all. shared: policies that several roles have.
  actors = {
    pipeline       = { when = true, what = "Runs the pipeline's steps", trust = "trust-sagemaker", policies = ["pipeline"], shared = [] }
    job            = { when = true, what = "Processing and training jobs", trust = "trust-sagemaker", policies = concat(["job"], local.in_place ? ["source"] : [], local.in_network ? ["network"] : [], local.tracked ? ["tracking"] : []), shared = [] }
    endpoint       = { when = true, what = "The model's container", trust = "trust-sagemaker", policies = concat(["endpoint"], local.in_network ? ["network"] : []), shared = [] }
    deployer       = { when = true, what = "Rolls out what is approved", trust = "trust-lambda", policies = ["deployer"], shared = [] }
    owner          = { when = true, what = "Approves, rejects, rolls back", trust = "trust-owner", policies = ["owner"], shared = [] }
    tracking       = { when = local.make_tracking, what = "The MLflow tracking server", trust = "trust-sagemaker", policies = ["tracking-server"], shared = [] }
    github-plan    = { when = local.with_github, what = "Workflows: plans the base; reads, writes nothing", trust = "trust-github-plan", policies = [], shared = local.readings }
    github-apply   = { when = local.with_github, what = "Workflows: applies the base", trust = "trust-github", policies = concat(["github-apply"], local.in_network ? ["github-apply-network"] : []), shared = local.readings }
    github-release = { when = local.with_github, what = "Workflows: pushes images, starts the pipeline", trust = "trust-github", policies = ["github-release"], shared = [] }
  }
}

module "identity" {
  source = "../modules/identity"

  roles = {
    for actor, role in local.actors : actor => {
      name        = local.names.roles[actor]
      description = role.what
      trust = role.trust == "trust-owner" && length(local.settings.release.owners) > 0 ? jsonencode({
        Version = "2012-10-17"
        Statement = [{
          Sid       = "ReleaseOwners"
          Effect    = "Allow"
          Principal = { AWS = local.settings.release.owners }
          Action    = "sts:AssumeRole"
        }]
      }) : templatefile("${local.policies_folder}/${role.trust}.json", local.more_places)
      policies = { for name in role.policies : name => templatefile("${local.policies_folder}/${name}.json", local.more_places) }
      shared   = role.shared
    } if role.when && try(local.existing["${actor}_role"], null) == null
  }
  shared_policies = {
    for name in local.with_github ? local.readings : [] : name => {
      name        = "${local.names.prefix}-${name}"
      description = "What a plan of the base reads"
      document    = templatefile("${local.policies_folder}/${name}.json", local.more_places)
    }
  }
  boundary = {
    name     = "${local.names.prefix}-boundary"
    document = templatefile("${local.policies_folder}/boundary.json", local.more_places)
  }
  permissions_boundary = local.existing_boundary
  make_oidc_provider   = local.with_github && local.existing_provider == null
}

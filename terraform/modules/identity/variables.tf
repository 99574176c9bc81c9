variable "roles" {
  description = "Actor -> its role: name, description, trust policy (JSON), inline policies (name -> JSON), names of shared ones."
  type = map(object({
    name        = string
    description = string
    trust       = string
    policies    = map(string)
    shared      = list(string)
  }))
  nullable = false

  validation {
    condition     = alltrue([for role in values(var.roles) : can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", role.name))])
    error_message = "A role's name has 1 to 64 of letters, digits and +=,.@_-."
  }
  validation {
    condition     = alltrue([for role in values(var.roles) : can(jsondecode(role.trust).Statement)])
    error_message = "The trust policy must be a policy document in JSON."
  }
  validation {
    condition     = alltrue([for role in values(var.roles) : alltrue([for policy in values(role.policies) : can(jsondecode(policy).Statement)])])
    error_message = "Each policy must be a policy document in JSON."
  }
  validation {
    # IAM User Guide, "IAM and AWS STS quotas": all inline policies of a role together, without white space.
    condition     = alltrue([for role in values(var.roles) : sum(concat([0], [for policy in values(role.policies) : try(length(jsonencode(jsondecode(policy))), 0)])) <= 10240])
    error_message = "The inline policies of a role have at most 10,240 characters together."
  }
}

variable "shared_policies" {
  description = "Name -> a policy that several roles have: its name in the account, description and document (JSON)."
  type = map(object({
    name        = string
    description = string
    document    = string
  }))
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for policy in values(var.shared_policies) : can(jsondecode(policy.document).Statement) && try(length(jsonencode(jsondecode(policy.document))), 0) <= 6144])
    error_message = "A shared policy must be a policy document in JSON of at most 6,144 characters."
  }
}

variable "boundary" {
  description = "Name and document (JSON) of the permissions boundary; not made where permissions_boundary is given."
  type = object({
    name     = string
    document = string
  })
  nullable = false

  validation {
    condition     = can(jsondecode(var.boundary.document).Statement) && try(length(jsonencode(jsondecode(var.boundary.document))), 0) <= 6144
    error_message = "The boundary must be a policy document in JSON of at most 6,144 characters."
  }
}

variable "permissions_boundary" {
  description = "ARN of a boundary that is there already; null: one is made."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^arn:aws[a-z-]*:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    error_message = "aws.existing.permissions_boundary must be a policy's ARN."
  }
}

variable "make_oidc_provider" {
  description = "Whether GitHub's identity provider is made; an account has one."
  type        = bool
  default     = false
  nullable    = false
}

variable "name" {
  description = "The role's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9+=,.@_-]{1,64}$", var.name))
    error_message = "A role's name has 1 to 64 of letters, digits and +=,.@_-."
  }
}

variable "trust" {
  description = "The trust policy, JSON."
  type        = string
  nullable    = false

  validation {
    condition     = can(jsondecode(var.trust).Statement)
    error_message = "The trust policy must be a policy document in JSON."
  }
}

variable "policies" {
  description = "Name -> inline policy, JSON."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for policy in values(var.policies) : can(jsondecode(policy).Statement)])
    error_message = "Each policy must be a policy document in JSON."
  }
}

variable "permissions_boundary" {
  description = "ARN of a policy that limits the role; null: none."
  type        = string
  default     = null
}

variable "environment" {
  description = "Environment of factory.yaml, for example dev."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,9}$", var.environment))
    error_message = "An environment's name has 1 to 10 of a-z and 0-9 and starts with a letter."
  }
}

variable "settings_file" {
  description = "factory.yaml; a relative path starts at this folder."
  type        = string
  default     = "../../factory.yaml"
  nullable    = false
}

variable "defaults_file" {
  description = "contracts/defaults.yaml; a relative path starts at this folder."
  type        = string
  default     = "../../contracts/defaults.yaml"
  nullable    = false
}

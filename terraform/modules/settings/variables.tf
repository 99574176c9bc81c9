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
  description = "Path of factory.yaml."
  type        = string
  nullable    = false

  validation {
    condition     = fileexists(var.settings_file)
    error_message = "There is no such settings file."
  }
}

variable "defaults_file" {
  description = "Path of contracts/defaults.yaml, which holds every default."
  type        = string
  nullable    = false

  validation {
    condition     = fileexists(var.defaults_file)
    error_message = "There is no such defaults file."
  }
}

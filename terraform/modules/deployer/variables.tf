variable "name" {
  description = "The function's name."
  type        = string
  nullable    = false
}

variable "description" {
  description = "What the function is for."
  type        = string
  nullable    = false
}

variable "account_id" {
  description = "Account that everything lies in."
  type        = string
  nullable    = false
}

variable "region" {
  description = "Region that everything lies in."
  type        = string
  nullable    = false
}

variable "role_arn" {
  description = "The role that the function runs as."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$", var.role_arn))
    error_message = "This is not a role's ARN."
  }
}

variable "zip_file" {
  description = "The function's code, made by python -m deployment.package."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "The function's variables."
  type        = map(string)
  nullable    = false
}

variable "spec" {
  description = "terraform/deployer.json: runtime, handler, sizes, retries, the sweep's schedule."
  type = object({
    runtime           = string
    handler           = string
    memory_mb         = number
    timeout_seconds   = number
    sweep             = string
    retry_attempts    = number
    event_age_seconds = number
  })
  nullable = false
}

variable "patterns" {
  description = "Name of a rule -> its event pattern, JSON."
  type        = map(string)
  nullable    = false
}

variable "sweep_rule" {
  description = "Name of the scheduled rule."
  type        = string
  nullable    = false
}

variable "alias" {
  description = "Name of the alias that the rules call."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the log lines."
  type        = string
  nullable    = false
}

variable "reserved_concurrency" {
  description = "Calls at a time that are kept for this function and that it never exceeds; 0: neither."
  type        = number
  nullable    = false

  validation {
    condition     = var.reserved_concurrency >= 0 && floor(var.reserved_concurrency) == var.reserved_concurrency
    error_message = "operations.reserved_concurrency must be a whole number; 0 for none."
  }
}

variable "log_days" {
  description = "Days that log lines are kept."
  type        = number
  nullable    = false

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_days,
    )
    error_message = "operations.log_days must be one that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, …"
  }
}

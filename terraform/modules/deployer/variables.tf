variable "name" {
  description = "The function's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.name))
    error_message = "A function's name has 1 to 64 of letters, digits, _ and -."
  }
}

variable "description" {
  description = "What the function is for."
  type        = string
  nullable    = false

  validation {
    condition     = length(var.description) <= 256
    error_message = "A function's description has at most 256 characters."
  }
}

variable "account_id" {
  description = "Account that everything lies in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id has 12 digits."
  }
}

variable "region" {
  description = "Region that everything lies in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region is named as eu-west-1 is."
  }
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

  validation {
    condition     = endswith(var.zip_file, "/") == false && var.zip_file != ""
    error_message = "Name the file that python -m deployment.package made."
  }
}

variable "environment" {
  description = "The function's variables."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.environment) : can(regex("^[a-zA-Z][a-zA-Z0-9_]+$", name))])
    error_message = "A variable's name has letters, digits and _, and starts with a letter."
  }
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

  validation {
    condition     = var.spec.memory_mb >= 128 && var.spec.memory_mb <= 10240 && var.spec.timeout_seconds >= 1 && var.spec.timeout_seconds <= 900
    error_message = "A function has 128 to 10,240 MB and at most 900 seconds."
  }
}

variable "patterns" {
  description = "Name of a rule -> its event pattern, JSON."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for pattern in values(var.patterns) : can(keys(jsondecode(pattern)))])
    error_message = "An event pattern is a JSON object."
  }
}

variable "sweep_rule" {
  description = "Name of the scheduled rule."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.sweep_rule))
    error_message = "A rule's name has 1 to 64 of letters, digits, _ and -."
  }
}

variable "alias" {
  description = "Name of the alias that the rules call."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]*[A-Za-z_-][A-Za-z0-9_-]*$", var.alias))
    error_message = "An alias has letters, digits, _ and -, and is no number."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the log lines."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "This is not a key's ARN."
  }
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

variable "senders" {
  description = "ARNs of other rules whose events may go to the queue of failed events."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.senders : can(regex("^arn:aws[a-z-]*:events:[a-z0-9-]+:[0-9]{12}:rule/.+$", arn))])
    error_message = "A rule's ARN is arn:aws:events:REGION:ACCOUNT:rule/NAME."
  }
}

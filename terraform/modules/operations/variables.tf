variable "prefix" {
  description = "Begins every name, and is the budget's, the dashboard's and the namespace's of the own metric."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,40}$", var.prefix))
    error_message = "The prefix has 3 to 41 of a-z, 0-9 and -, and starts with a letter."
  }
}

variable "environment" {
  description = "Environment of factory.yaml; messages name it in the command that they suggest."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,9}$", var.environment))
    error_message = "An environment's name has 1 to 10 of a-z and 0-9 and starts with a letter."
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

variable "key_alias" {
  description = "Alias of the key that encrypts messages."
  type        = string
  nullable    = false

  validation {
    condition     = startswith(var.key_alias, "alias/")
    error_message = "An alias begins with alias/."
  }
}

variable "tags" {
  description = "Tags whose costs the budget counts: key -> value."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.tags) > 0
    error_message = "Without a tag the budget would count the whole account."
  }
}

variable "email" {
  description = "Who gets the messages; empty: nobody."
  type        = string
  nullable    = false

  validation {
    condition     = var.email == "" || can(regex("^[^@[:space:]]+@[^@[:space:]]+\\.[^@[:space:]]+$", var.email))
    error_message = "operations.email must be an e-mail address, or empty."
  }
}

variable "budget_usd" {
  description = "US dollars a month; 0: no budget."
  type        = number
  nullable    = false

  validation {
    condition     = var.budget_usd >= 0
    error_message = "operations.budget_usd must be 0 (none) or more."
  }
}

variable "pipeline" {
  description = "Name of the pipeline."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,256}$", var.pipeline))
    error_message = "A pipeline's name has 1 to 256 of letters, digits, _ and -."
  }
}

variable "endpoint" {
  description = "Name of the endpoint; the deployer makes it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,63}$", var.endpoint))
    error_message = "An endpoint's name has 1 to 63 of letters, digits, _ and -."
  }
}

variable "variant" {
  description = "Name of the endpoint's production variant."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,63}$", var.variant))
    error_message = "A variant's name has 1 to 63 of letters, digits, _ and -."
  }
}

variable "deployer" {
  description = "Name of the deployer's function."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,64}$", var.deployer))
    error_message = "A function's name has 1 to 64 of letters, digits, _ and -."
  }
}

variable "deployer_log_group" {
  description = "Log group of the deployer."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_./#-]{1,512}$", var.deployer_log_group))
    error_message = "A log group's name has 1 to 512 of letters, digits and _./#-."
  }
}

variable "deployer_timeout_seconds" {
  description = "Seconds after which a call of the deployer is ended."
  type        = number
  nullable    = false

  validation {
    condition     = var.deployer_timeout_seconds >= 1 && var.deployer_timeout_seconds <= 900
    error_message = "A call of a function ends after 1 to 900 seconds."
  }
}

variable "failed_queue" {
  description = "Name of the queue of events that nobody could handle: the deployer's, and notices that the topic did not take."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,80}$", var.failed_queue))
    error_message = "A queue's name has 1 to 80 of letters, digits, _ and -."
  }
}

variable "retry_attempts" {
  description = "How often a notice is sent again that the topic did not take."
  type        = number
  nullable    = false

  validation {
    condition     = var.retry_attempts >= 0 && var.retry_attempts <= 185
    error_message = "EventBridge tries again 0 to 185 times."
  }
}

variable "event_age_seconds" {
  description = "Seconds after which a notice is not sent again but goes to the queue of failed events."
  type        = number
  nullable    = false

  validation {
    condition     = var.event_age_seconds >= 60 && var.event_age_seconds <= 86400
    error_message = "EventBridge keeps an event for 60 to 86,400 seconds."
  }
}

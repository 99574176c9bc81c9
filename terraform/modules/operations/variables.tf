variable "prefix" {
  description = "Begins every name, and is the budget's, the dashboard's and the namespace's of the own metric."
  type        = string
  nullable    = false
}

variable "environment" {
  description = "Environment of factory.yaml; messages name it in the command that they suggest."
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

variable "key_alias" {
  description = "Alias of the key that encrypts messages."
  type        = string
  nullable    = false
}

variable "tags" {
  description = "Tags whose costs the budget counts: key -> value."
  type        = map(string)
  nullable    = false
}

variable "email" {
  description = "Who gets the messages; empty: nobody."
  type        = string
  nullable    = false
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
}

variable "endpoint" {
  description = "Name of the endpoint; the deployer makes it."
  type        = string
  nullable    = false
}

variable "variant" {
  description = "Name of the endpoint's production variant."
  type        = string
  nullable    = false
}

variable "deployer" {
  description = "Name of the deployer's function."
  type        = string
  nullable    = false
}

variable "deployer_log_group" {
  description = "Log group of the deployer."
  type        = string
  nullable    = false
}

variable "deployer_timeout_seconds" {
  description = "Seconds after which a call of the deployer is ended."
  type        = number
  nullable    = false
}

variable "failed_queue" {
  description = "Name of the queue of events that the deployer could not handle."
  type        = string
  nullable    = false
}

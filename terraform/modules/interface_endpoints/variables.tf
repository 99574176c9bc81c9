variable "name" {
  description = "Begins the names of the security group and the endpoints."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,40}$", var.name))
    error_message = "The name has 3 to 41 of a-z, 0-9 and -, and starts with a letter."
  }
}

variable "account_id" {
  description = "The account whose principals may use the endpoints."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id has 12 digits."
  }
}

variable "vpc_id" {
  description = "The VPC that gets the endpoints."
  type        = string
  nullable    = false

  validation {
    condition     = var.vpc_id != ""
    error_message = "Name the VPC."
  }
}

variable "subnet_ids" {
  description = "Subnets of the endpoints' addresses, at most one in each availability zone."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "Interface endpoints need at least one subnet."
  }
}

variable "client_groups" {
  description = "Name -> id of each security group whose members reach the endpoints on port 443."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.client_groups) > 0
    error_message = "Without a group nobody would reach the endpoints."
  }
}

variable "services" {
  description = "Short name -> full name of each service that gets an endpoint, for example sts -> com.amazonaws.eu-west-1.sts."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.services) > 0
    error_message = "Name at least one service, or leave the module out."
  }
  validation {
    condition     = alltrue([for service in values(var.services) : can(regex("^(com\\.amazonaws|aws\\.sagemaker)\\.[a-z0-9-]+\\.[a-z0-9.-]+$", service))])
    error_message = "A service's name is com.amazonaws.REGION.SERVICE or aws.sagemaker.REGION.SERVICE."
  }
}

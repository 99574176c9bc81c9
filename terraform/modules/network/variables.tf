variable "name" {
  description = "Begins the name of everything in the network."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{2,40}$", var.name))
    error_message = "The name has 3 to 41 of a-z, 0-9 and -, and starts with a letter."
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

variable "cidr" {
  description = "The VPC's addresses, /16 to /24, for example 10.20.0.0/16. A quarter each goes to the two private subnets."
  type        = string
  nullable    = false

  validation {
    condition     = can(cidrnetmask(var.cidr)) && try(cidrhost(var.cidr, 0) == split("/", var.cidr)[0], false)
    error_message = "network.cidr must be an IPv4 network, its first address and a length, for example 10.20.0.0/16."
  }
  validation {
    condition     = try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 24, false)
    error_message = "network.cidr must be between /16 and /24: AWS allows no larger VPC, and in a smaller one the interface endpoints would leave the jobs too few addresses. For example 10.20.0.0/16."
  }
}

variable "s3_service" {
  description = "Full name of S3's gateway service, for example com.amazonaws.eu-west-1.s3."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^com\\.amazonaws\\.[a-z0-9-]+\\.s3$", var.s3_service))
    error_message = "S3's service is named com.amazonaws.REGION.s3."
  }
}

variable "services" {
  description = "Short name -> full name of each service that gets an interface endpoint; empty: none."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for service in values(var.services) : can(regex("^(com\\.amazonaws|aws\\.sagemaker)\\.[a-z0-9-]+\\.[a-z0-9.-]+$", service))])
    error_message = "A service's name is com.amazonaws.REGION.SERVICE or aws.sagemaker.REGION.SERVICE."
  }
}

variable "buckets" {
  description = "Buckets that are read and written through the gateway."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.buckets) > 0
    error_message = "Without a bucket nothing could go through the gateway."
  }
}

variable "read_buckets" {
  description = "Buckets that are only read through the gateway."
  type        = list(string)
  nullable    = false

  validation {
    condition     = alltrue([for name in var.read_buckets : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", name))])
    error_message = "A bucket name has 3 to 63 of a-z, 0-9, dot and hyphen, and starts and ends with a letter or digit."
  }
}

variable "nat" {
  description = "Make a NAT gateway: a way out to the internet on port 443."
  type        = bool
  nullable    = false
}

variable "log_days" {
  description = "Days that the flow logs are kept; one of the values that CloudWatch Logs knows."
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

variable "permissions_boundary" {
  description = "ARN of a policy that limits the flow logs' role; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary != ""
    error_message = "Name the policy, or null for none."
  }
}

variable "kms_key_arn" {
  description = "Key of the flow logs' group; null: CloudWatch Logs' own."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "This is not a key's ARN."
  }
}

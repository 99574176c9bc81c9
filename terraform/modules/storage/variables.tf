variable "name" {
  description = "The bucket's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket name has 3 to 63 of a-z, 0-9, dot and hyphen, and starts and ends with a letter or digit."
  }
}

variable "kms_key_arn" {
  description = "Key that encrypts the objects; null: S3's own key, the only one that the target of access logs may have."
  type        = string
  default     = null
}

variable "force_destroy" {
  description = "Whether terraform destroy deletes the objects too; false: it fails while there are any."
  type        = bool
  default     = false
  nullable    = false
}

variable "readers" {
  description = "Accounts that may read objects below the reader_prefix."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for account in var.readers : can(regex("^[0-9]{12}$", account))])
    error_message = "An account id has 12 digits."
  }
}

variable "reader_prefix" {
  description = "Prefix of the keys that readers may read, with its slash."
  type        = string
  default     = null

  validation {
    condition     = length(var.readers) == 0 || can(regex("^.+/$", var.reader_prefix))
    error_message = "With readers, reader_prefix must be a prefix that ends with a slash."
  }
}

variable "expire_days" {
  description = "Prefix of keys -> days after which its objects expire. The empty prefix means all."
  type        = map(number)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for days in values(var.expire_days) : days >= 1 && floor(days) == days])
    error_message = "Days are whole numbers from 1."
  }
}

variable "logging" {
  description = "Whether accesses are logged. Said apart from the log bucket, whose name is known only once it stands."
  type        = bool
  default     = false
  nullable    = false
}

variable "log_bucket" {
  description = "Bucket that gets this one's access logs."
  type        = string
  default     = null
}

variable "logs_of_account" {
  description = "Account whose buckets may write access logs into this one; null: nobody may."
  type        = string
  default     = null

  validation {
    condition     = var.logs_of_account == null || can(regex("^[0-9]{12}$", var.logs_of_account))
    error_message = "An account id has 12 digits."
  }
}

variable "logs_of_buckets" {
  description = "Names of that account's buckets whose access logs come here."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for name in var.logs_of_buckets : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", name))])
    error_message = "A bucket name has 3 to 63 of a-z, 0-9, dot and hyphen, and starts and ends with a letter or digit."
  }
}

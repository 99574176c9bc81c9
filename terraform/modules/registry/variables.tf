variable "training_repository" {
  description = "Name of the repository of training images."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.training_repository)) && length(var.training_repository) <= 256
    error_message = "A repository's name has at most 256 of a-z, 0-9 and single . _ - / between them."
  }
}

variable "inference_repository" {
  description = "Name of the repository of inference images, which packages name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9]+([._/-][a-z0-9]+)*$", var.inference_repository)) && length(var.inference_repository) <= 256
    error_message = "A repository's name has at most 256 of a-z, 0-9 and single . _ - / between them."
  }
}

variable "package_group" {
  description = "Name of the model package group."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$", var.package_group))
    error_message = "A model package group's name has 1 to 63 of letters, digits and hyphens."
  }
}

variable "description" {
  description = "What the group holds."
  type        = string
  nullable    = false
}

variable "kms_key_arn" {
  description = "Key that encrypts the images."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "This is not a key's ARN."
  }
}

variable "images_keep" {
  description = "How many training images stay; the newest."
  type        = number
  nullable    = false

  validation {
    condition     = var.images_keep >= 1 && floor(var.images_keep) == var.images_keep
    error_message = "operations.images_keep must be a whole number from 1."
  }
}

variable "readers" {
  description = "Accounts that may read the packages of the group and pull the inference images."
  type        = list(string)
  nullable    = false

  validation {
    condition     = alltrue([for account in var.readers : can(regex("^[0-9]{12}$", account))])
    error_message = "release.readers holds account ids: 12 digits in quotes."
  }
}

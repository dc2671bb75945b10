variable "force_destroy" {
  description = "Whether destroying the environment deletes repositories that still hold images."
  type        = bool
  default     = false
  nullable    = false
}

variable "kept_images" {
  description = "How many images a repository keeps."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.kept_images >= 2 && floor(var.kept_images) == var.kept_images
    error_message = "kept_images must be a whole number of at least 2, so that the running image survives the next push."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the images."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, arn:…:kms:<region>:<account>:key/<id>, and not of an alias: policies name keys."
  }
}

variable "name" {
  description = "The prefix of every name, `winbatch-<environment>`; a repository is `<name>/<workload>`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^winbatch-[a-z][a-z0-9]{1,11}$", var.name))
    error_message = "name must be winbatch- and the environment, 2 to 12 lower-case letters and digits, such as winbatch-dev: roles and policies go by it."
  }
}

variable "workloads" {
  description = "The workloads that get a repository."
  type        = set(string)
  nullable    = false

  validation {
    condition     = alltrue([for workload in var.workloads : can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", workload))])
    error_message = "workloads are named by 2 to 32 lower-case letters, digits and inner dashes, a letter first, such as ber."
  }
}

variable "access_log_days" {
  description = "After how many days S3's access logs are deleted."
  type        = number
  default     = 90
  nullable    = false

  validation {
    condition     = var.access_log_days >= 1 && floor(var.access_log_days) == var.access_log_days
    error_message = "storage.access_log_days must be a whole number of at least 1."
  }
}

variable "data_prefixes" {
  description = "The data bucket's prefixes that jobs write under, without a slash at either end."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.data_prefixes) > 0 && alltrue([for prefix in var.data_prefixes : can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", prefix))])
    error_message = "data_prefixes takes at least one prefix, of letters, digits, - and _ and without a slash at either end, such as jobs or team/sim."
  }
}

variable "force_destroy" {
  description = "Whether destroying the environment deletes buckets that still hold objects. When not, the buckets also refuse their own deletion and that of versions of data and logs."
  type        = bool
  default     = false
  nullable    = false
}

variable "job_retention_days" {
  description = "After how many days a job's claims, manifests and results are deleted; null keeps them."
  type        = number
  default     = null

  validation {
    condition     = var.job_retention_days == null || try(var.job_retention_days >= 1 && floor(var.job_retention_days) == var.job_retention_days, false)
    error_message = "storage.job_retention_days must be a whole number of at least 1, or null to keep everything."
  }
}

variable "key_deletion_days" {
  description = "How long the key can still be rescued after the environment is destroyed."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.key_deletion_days >= 7 && var.key_deletion_days <= 30
    error_message = "storage.key_deletion_days must be between 7 and 30, which is what KMS allows."
  }
}

variable "name" {
  description = "The prefix of every name, `winbatch-<environment>`."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^winbatch-[a-z][a-z0-9]{1,11}$", var.name))
    error_message = "name must be winbatch- and the environment, 2 to 12 lower-case letters and digits, such as winbatch-dev: roles and policies go by it."
  }
}

variable "old_version_days" {
  description = "After how many days an overwritten or deleted object's old version goes."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition     = var.old_version_days >= 1 && floor(var.old_version_days) == var.old_version_days
    error_message = "storage.old_version_days must be a whole number of at least 1."
  }
}

variable "region" {
  description = "The region, which is part of the buckets' names."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region's code, such as eu-central-1."
  }
}

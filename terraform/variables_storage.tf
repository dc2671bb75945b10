variable "data_prefixes" {
  description = "The data bucket's prefixes that jobs may use: the manifests' and ledgers' own (`jobs`) and those that results go to."
  type        = list(string)
  default     = ["jobs", "sim"]
  nullable    = false

  validation {
    condition     = contains(var.data_prefixes, "jobs")
    error_message = "data_prefixes must contain \"jobs\": manifests, claims and ledgers lie there."
  }

  validation {
    condition     = alltrue([for prefix in var.data_prefixes : can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", prefix))])
    error_message = "data_prefixes takes prefixes of letters, digits, - and _ without a slash at either end, such as sim or team/sim."
  }
}

variable "force_destroy" {
  description = "Whether destroying the environment deletes buckets and repositories that still hold something."
  type        = bool
  default     = false
  nullable    = false
}

variable "shared_storage" {
  description = "A Windows share in every container (FSx for Windows File Server); null: none. `credentials_arn` names a secret of Secrets Manager, or a parameter of Systems Manager, with the keys `username` and `password` of the domain's user that containers are on the share. What is left out has the default of modules/shared_storage."
  type = object({
    active_directory = object({
      managed_directory_id = optional(string)
      self_managed = optional(object({
        controller_cidrs    = optional(list(string))
        dns_ips             = list(string)
        domain              = string
        join_secret_arn     = string
        organizational_unit = optional(string)
      }))
    })
    backup_days             = optional(number)
    container_path          = optional(string, "C:\\shared")
    credentials_arn         = string
    credentials_kms_key_arn = optional(string)
    forward_dns             = optional(bool)
    multi_zone              = optional(bool)
    size_gib                = optional(number)
    throughput_mib          = optional(number)
  })
  default = null

  validation {
    condition     = var.shared_storage == null ? true : can(regex("^arn:[^:]+:(secretsmanager:[^:]+:[0-9]{12}:secret:.+|ssm:[^:]+:[0-9]{12}:parameter/.+)$", var.shared_storage.credentials_arn))
    error_message = "shared_storage.credentials_arn must be the ARN of a secret of Secrets Manager or of a parameter of Systems Manager; no password is taken here."
  }

  validation {
    condition     = var.shared_storage == null ? true : can(regex("^[A-Z]:\\\\[A-Za-z0-9_-]+(\\\\[A-Za-z0-9_-]+)*$", var.shared_storage.container_path))
    error_message = "shared_storage.container_path must be a folder on a drive, such as C:\\shared."
  }
}

variable "storage" {
  description = "The buckets and the key: what is left out has the default of modules/storage."
  type = object({
    access_log_days    = optional(number)
    job_retention_days = optional(number)
    key_deletion_days  = optional(number)
    old_version_days   = optional(number)
  })
  default  = {}
  nullable = false
}

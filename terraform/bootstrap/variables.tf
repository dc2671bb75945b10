variable "aws_provider" {
  description = "As in the environment's root."
  type = object({
    allowed_account_ids         = optional(list(string))
    max_retries                 = optional(number)
    s3_use_path_style           = optional(bool, false)
    skip_credentials_validation = optional(bool, false)
    skip_metadata_api_check     = optional(bool, false)
    skip_region_validation      = optional(bool, false)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for account in coalesce(var.aws_provider.allowed_account_ids, []) : can(regex("^[0-9]{12}$", account))])
    error_message = "aws_provider.allowed_account_ids takes account ids of 12 digits, in quotation marks, such as \"123456789012\"."
  }

  validation {
    condition     = try(var.aws_provider.max_retries >= 0 && floor(var.aws_provider.max_retries) == var.aws_provider.max_retries, var.aws_provider.max_retries == null)
    error_message = "aws_provider.max_retries must be a whole number of at least 0; leave it out for the provider's own."
  }
}

variable "environment" {
  description = "The environment's name, which is part of every other name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "environment must be 2 to 12 lower-case letters and digits, a letter first, such as dev."
  }
}

variable "github" {
  description = "The GitHub repository whose workflows may plan and apply, as its tokens name it: `owner/name`, or `owner@id/name@id` (the default of repositories made since July 2026). `create_provider` is false where the account has GitHub's identity provider already. null: no pipeline."
  type = object({
    create_provider = optional(bool, true)
    repository      = string
  })
  default = null

  validation {
    condition = var.github == null || can(regex(
      "^([A-Za-z0-9-]+/[A-Za-z0-9._-]+|[A-Za-z0-9-]+@[0-9]+/[A-Za-z0-9._-]+@[0-9]+)$", var.github.repository
    ))
    error_message = "github.repository must be owner/name or owner@id/name@id, both with ids or neither, and without a pattern. `gh api repos/OWNER/NAME/actions/oidc/customization/sub` says which form the repository's tokens have."
  }
}

variable "old_version_days" {
  description = "After how many days an overwritten state's version goes."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.old_version_days >= 30 && floor(var.old_version_days) == var.old_version_days
    error_message = "old_version_days must be a whole number of at least 30: a state's old versions are its backup."
  }
}

variable "operators" {
  description = "ARNs of the roles and users of this account that may assume the plan and the apply role, too, such as a person's for `invoke verify-aws`. They get what the pipeline may, and no more."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.operators : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:((role|user)/[A-Za-z0-9+=,.@_/-]+|root)$", arn))])
    error_message = "operators takes ARNs of IAM roles and users, to the letter, such as arn:…:iam::123456789012:role/admin; of an assumed role, the role's own."
  }
}

variable "region" {
  description = "The region of the state, which is that of the environment."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region's code, such as eu-central-1."
  }
}

variable "state_bucket" {
  description = "The name of the bucket that is made for Terraform's state, as environments/<name>.s3.tfbackend has it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.state_bucket))
    error_message = "state_bucket must be 3 to 63 lower-case letters, digits, dots and dashes, such as acme-winbatch-dev-tfstate."
  }

  # The apply role may do much with the environment's own buckets, and little with this one.
  validation {
    condition     = !can(regex("^winbatch-[a-z0-9]+-[0-9]{12}-", var.state_bucket))
    error_message = "state_bucket must not be named like the environment's own buckets, winbatch-<environment>-<account>-…; end it in -tfstate."
  }
}

variable "state_key" {
  description = "The object that the environment's state is, as environments/<name>.s3.tfbackend has it."
  type        = string
  default     = "winbatch.tfstate"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._/-]+$", var.state_key)) && var.state_key != "bootstrap.tfstate"
    error_message = "state_key must be letters, digits, dots, dashes and slashes, and not bootstrap.tfstate, which is this root's own."
  }
}

variable "tags" {
  description = "Further tags of every resource, such as an owner or a cost centre."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name, value in var.tags : !startswith(lower(name), "aws:") && length(name) <= 128 && length(value) <= 256])
    error_message = "tags takes names of up to 128 characters that do not begin with aws:, which is AWS's own, and values of up to 256."
  }

  validation {
    condition     = length(setintersection(keys(var.tags), ["environment", "managed-by", "root"])) == 0
    error_message = "tags may not set environment, managed-by or root: they are the root's own, and policies and the budget go by them."
  }
}

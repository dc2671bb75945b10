variable "alarm_minutes" {
  description = "After how many minutes each alarm tells: `capacity` a job without its first instance, `idle` instances without work, `queue` the oldest Airflow task that waits, `silent` ECS tasks without an engine, `stuck` a job that gets no shard done."
  type = object({
    capacity = optional(number, 20)
    idle     = optional(number, 15)
    queue    = optional(number, 30)
    silent   = optional(number, 15)
    stuck    = optional(number, 60)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for minutes in values(var.alarm_minutes) : minutes >= 5 && minutes <= 1440 && minutes % 5 == 0])
    error_message = "observability.alarm_minutes takes multiples of 5 between 5 and 1440: alarms look every five minutes, and back a day at most."
  }
}

variable "auto_scaling_group" {
  description = "The Auto Scaling group of the cluster."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.auto_scaling_group))
    error_message = "auto_scaling_group must be a group's name, letters, digits, - and _, such as winbatch-dev."
  }
}

variable "backstop" {
  description = "What scales the cluster to zero when neither an ECS task nor an engine has been seen for `idle_minutes`, whatever has become of Airflow."
  type = object({
    enabled      = optional(bool, true)
    idle_minutes = optional(number, 60)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.backstop.idle_minutes >= 30 && var.backstop.idle_minutes <= 1440 && var.backstop.idle_minutes % 5 == 0
    error_message = "observability.backstop.idle_minutes must be a multiple of 5 between 30 and 1440: in less, a Windows instance has not booted and pulled its image for sure."
  }

  validation {
    condition     = !var.backstop.enabled || var.backstop.idle_minutes > var.alarm_minutes.idle
    error_message = "observability.backstop.idle_minutes must be above alarm_minutes.idle: people are told before the cluster is scaled to zero."
  }
}

variable "budget" {
  description = "What the environment may cost a month, in US dollars, and at which percentages of it people are told, of what was spent and of what is forecast; null for no budget. It counts what has the tag `environment`, which must be activated as a cost allocation tag once."
  type = object({
    forecast_percent = optional(number, 100)
    spent_percents   = optional(set(number), [50, 80, 100])
    usd_per_month    = number
  })
  default = null

  validation {
    condition     = try(var.budget.usd_per_month > 0, var.budget == null)
    error_message = "observability.budget.usd_per_month must be above 0; leave the budget out for none."
  }

  validation {
    condition     = var.budget == null || try(length(var.budget.spent_percents) <= 4 && alltrue([for percent in setunion(var.budget.spent_percents, [var.budget.forecast_percent]) : percent > 0 && percent <= 1000]), false)
    error_message = "observability.budget takes up to four spent_percents, and percentages above 0 and up to 1000: AWS keeps five notifications a budget."
  }
}

variable "cluster" {
  description = "The ECS cluster."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.cluster))
    error_message = "cluster must be a cluster's name, letters, digits, - and _, such as winbatch-dev."
  }
}

variable "emails" {
  description = "Addresses that are told; each gets a mail first that it must confirm."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.emails : can(regex("^[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", address))])
    error_message = "observability.emails takes e-mail addresses, such as batch-team@example.com."
  }
}

variable "kms_key_arn" {
  description = "The key of topic and log group; its policy lets CloudWatch and AWS Budgets use it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, arn:…:kms:<region>:<account>:key/<id>, and not of an alias: policies name keys."
  }
}

variable "log_retention_days" {
  description = "How long the engine's events are kept; the metrics in them stay for 15 months in any case."
  type        = number
  nullable    = false

  validation {
    condition     = var.log_retention_days >= 1 && floor(var.log_retention_days) == var.log_retention_days
    error_message = "log_retention_days must be a whole number of at least 1, one that CloudWatch Logs knows, such as 365: logs have an end."
  }
}

variable "mwaa_environment" {
  description = "The MWAA environment's name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.mwaa_environment))
    error_message = "mwaa_environment must be an environment's name, letters, digits, - and _, such as winbatch-dev."
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

variable "region" {
  description = "The region of the metrics."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region's code, such as eu-central-1."
  }
}

variable "scheduler_environment" {
  description = "The MWAA environment's name as its own module says it: the scheduler's alarm waits for it."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]+$", var.scheduler_environment))
    error_message = "scheduler_environment must be an environment's name, letters, digits, - and _, such as winbatch-dev."
  }
}

variable "usd_per_hour" {
  description = "The most that an instance costs an hour, in US dollars, for the backstop's message; null where it is not known."
  type        = number
  default     = null

  validation {
    condition     = try(var.usd_per_hour >= 0, var.usd_per_hour == null)
    error_message = "usd_per_hour must not be negative; null where no price is known."
  }
}

variable "webhooks" {
  description = "HTTPS addresses that are told, such as a chat's or an on-call service's; each must confirm."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for address in var.webhooks : startswith(address, "https://")])
    error_message = "observability.webhooks takes addresses that begin with https://."
  }
}

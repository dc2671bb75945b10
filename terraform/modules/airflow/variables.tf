variable "buckets" {
  description = "The buckets by purpose: `dags`, which Airflow reads, and `data`, where jobs lie."
  type = object({
    dags = object({ arn = string, name = string })
    data = object({ arn = string, name = string })
  })
  nullable = false

  validation {
    condition     = alltrue([for bucket in values(var.buckets) : can(regex("^arn:[a-z-]+:s3:::.+$", bucket.arn))])
    error_message = "buckets takes each bucket's name and its ARN, arn:…:s3:::<name>."
  }
}

variable "data_prefixes" {
  description = "The data bucket's prefixes that jobs lie under, without a slash at either end."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.data_prefixes) > 0 && alltrue([for prefix in var.data_prefixes : can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", prefix))])
    error_message = "data_prefixes takes at least one prefix, of letters, digits, - and _ and without a slash at either end, such as jobs or team/sim."
  }
}

variable "deployment" {
  description = "The content of `deployment.json`, which tells the DAGs what there is."
  type        = string
  nullable    = false

  validation {
    condition     = can(jsondecode(var.deployment).schema)
    error_message = "deployment must be a JSON object with its schema's number, as docs/architecture.md describes it."
  }
}

variable "https_destinations" {
  description = "Where Airflow may open HTTPS connections to, by name."
  type = map(object({
    cidr_ipv4         = optional(string)
    prefix_list_id    = optional(string)
    security_group_id = optional(string)
  }))
  nullable = false

  validation {
    condition     = length(var.https_destinations) > 0 && alltrue([for peer in values(var.https_destinations) : length([for target in values(peer) : target if target != null]) == 1])
    error_message = "https_destinations names at least one peer, and each by exactly one of cidr_ipv4, prefix_list_id and security_group_id."
  }
}

variable "kms_key_arn" {
  description = "The key of Airflow's database, queue and logs, and of the buckets."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, arn:…:kms:<region>:<account>:key/<id>, and not of an alias: policies name keys."
  }
}

variable "log_retention_days" {
  description = "How long Airflow's logs are kept."
  type        = number
  nullable    = false

  validation {
    condition     = var.log_retention_days >= 1 && floor(var.log_retention_days) == var.log_retention_days
    error_message = "log_retention_days must be a whole number of at least 1, one that CloudWatch Logs knows, such as 365: logs have an end."
  }
}

variable "metrics_log_group" {
  description = "The log group that the DAGs write the engine's metrics to."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^/[A-Za-z0-9_./-]+$", var.metrics_log_group))
    error_message = "metrics_log_group must be a log group's name, such as /winbatch/dev/engine/metrics."
  }
}

variable "name" {
  description = "The prefix of every name, `winbatch-<environment>`, and the MWAA environment's own name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^winbatch-[a-z][a-z0-9]{1,11}$", var.name))
    error_message = "name must be winbatch- and the environment, 2 to 12 lower-case letters and digits, such as winbatch-dev: roles and policies go by it."
  }
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds what the role may ever do; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of a policy, arn:…:iam::<account>:policy/<path and name>, or null."
  }
}

variable "private_subnet_ids" {
  description = "The private subnets by zone letter; MWAA takes the first two."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.private_subnet_ids) >= 2
    error_message = "MWAA needs private subnets in two zones: name at least two in network.zones."
  }
}

variable "region" {
  description = "The region that ARNs name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region's code, such as eu-central-1."
  }
}

variable "vpc_id" {
  description = "The VPC of the security group."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id must be a VPC's id, such as vpc-0123456789abcdef0."
  }
}

variable "workers" {
  description = "What the DAGs run workers on: the ECS cluster and its Auto Scaling group, the task definition families, and the roles that are passed to ECS tasks."
  type = object({
    auto_scaling_group = string
    cluster            = string
    families           = list(string)
    role_arns          = list(string)
  })
  nullable = false

  validation {
    condition     = length(var.workers.families) > 0 && length(var.workers.role_arns) > 0 && alltrue([for arn in var.workers.role_arns : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:role/.+$", arn))])
    error_message = "workers names at least one family of task definitions, and roles by their ARNs, arn:…:iam::<account>:role/<name>."
  }
}

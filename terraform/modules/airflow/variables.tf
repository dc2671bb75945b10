variable "airflow_version" {
  description = "The Airflow version, one that MWAA offers."
  type        = string
  default     = "3.0.6"
  nullable    = false

  validation {
    condition     = can(regex("^3\\.[0-9]+\\.[0-9]+$", var.airflow_version))
    error_message = "airflow.version must be an Airflow 3 version in full, such as 3.0.6: the DAGs are written for Airflow 3."
  }
}

variable "auto_scaling_group" {
  description = "The Auto Scaling group that the DAGs scale."
  type        = string
  nullable    = false
}

variable "buckets" {
  description = "The buckets by purpose: `dags`, which Airflow reads, and `data`, where jobs lie."
  type = object({
    dags = object({ arn = string, name = string })
    data = object({ arn = string, name = string })
  })
  nullable = false
}

variable "cluster" {
  description = "The ECS cluster that the DAGs run ECS tasks on."
  type        = string
  nullable    = false
}

variable "configuration" {
  description = "Airflow configuration options, `section.key` to value; they win over the module's own."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for option in keys(var.configuration) : can(regex("^[a-z_]+\\.[a-z0-9_]+$", option))])
    error_message = "airflow.configuration takes options as section.key, such as core.default_task_retries."
  }
}

variable "dags_prefix" {
  description = "The prefix of the DAG bucket that Airflow reads, without a slash at either end."
  type        = string
  default     = "dags"
  nullable    = false
}

variable "data_prefixes" {
  description = "The data bucket's prefixes that jobs lie under, without a slash at either end."
  type        = list(string)
  nullable    = false
}

variable "deployment" {
  description = "The content of `deployment.json`, which tells the DAGs what there is."
  type        = string
  nullable    = false
}

variable "environment_class" {
  description = "The size of Airflow's components, `mw1.micro` to `mw1.2xlarge`."
  type        = string
  default     = "mw1.small"
  nullable    = false

  validation {
    condition     = contains(["mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge"], var.environment_class)
    error_message = "airflow.environment_class must be mw1.micro, mw1.small, mw1.medium, mw1.large, mw1.xlarge or mw1.2xlarge."
  }
}

variable "families" {
  description = "The task definition families that the DAGs may run."
  type        = list(string)
  nullable    = false
}

variable "https_destinations" {
  description = "Where Airflow may open HTTPS connections to, by name."
  type = map(object({
    cidr_ipv4         = optional(string)
    prefix_list_id    = optional(string)
    security_group_id = optional(string)
  }))
  nullable = false
}

variable "kms_key_arn" {
  description = "The key of Airflow's database, queue and logs, and of the buckets."
  type        = string
  nullable    = false
}

variable "log_level" {
  description = "The least severe level that Airflow's five logs keep."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"], var.log_level)
    error_message = "airflow.log_level must be CRITICAL, ERROR, WARNING, INFO or DEBUG."
  }
}

variable "log_retention_days" {
  description = "How long Airflow's logs are kept."
  type        = number
  nullable    = false
}

variable "name" {
  description = "The prefix of every name, `winbatch-<environment>`, and the MWAA environment's own name."
  type        = string
  nullable    = false
}

variable "private_subnet_ids" {
  description = "The private subnets by zone letter; MWAA takes the first two."
  type        = map(string)
  nullable    = false
}

variable "region" {
  description = "The region that ARNs name."
  type        = string
  nullable    = false
}

variable "scale" {
  description = "How many of each component. MWAA fixes all of them at 1 for mw1.micro."
  type = object({
    max_webservers = optional(number, 2)
    max_workers    = optional(number, 2)
    min_webservers = optional(number, 2)
    min_workers    = optional(number, 1)
    schedulers     = optional(number, 2)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.scale.min_workers >= 1 && var.scale.min_workers <= var.scale.max_workers && var.scale.max_workers <= 25
    error_message = "airflow.scale needs 1 <= min_workers <= max_workers <= 25."
  }

  validation {
    condition     = var.scale.min_webservers >= 1 && var.scale.min_webservers <= var.scale.max_webservers && var.scale.max_webservers <= 5
    error_message = "airflow.scale needs 1 <= min_webservers <= max_webservers <= 5."
  }

  validation {
    condition = var.environment_class == "mw1.micro" ? alltrue([for count in values(var.scale) : count == 1]) : (
      var.scale.schedulers >= 2 && var.scale.schedulers <= 5 && var.scale.min_webservers >= 2
    )
    error_message = "airflow.scale: mw1.micro has exactly 1 of each component; every other class needs schedulers between 2 and 5 and at least 2 webservers."
  }
}

variable "task_role_arns" {
  description = "The roles that the DAGs pass to ECS tasks."
  type        = object({ execution = string, task = string })
  nullable    = false
}

variable "vpc_id" {
  description = "The VPC of the security group."
  type        = string
  nullable    = false
}

variable "webserver_access_mode" {
  description = "Who reaches the Airflow page: `PRIVATE_ONLY` (the VPC) or `PUBLIC_ONLY` (the internet, with an IAM login)."
  type        = string
  default     = "PRIVATE_ONLY"
  nullable    = false

  validation {
    condition     = contains(["PRIVATE_ONLY", "PUBLIC_ONLY"], var.webserver_access_mode)
    error_message = "airflow.webserver_access_mode must be PRIVATE_ONLY or PUBLIC_ONLY."
  }
}

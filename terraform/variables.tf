variable "airflow" {
  description = "MWAA: what is left out has the default of modules/airflow."
  type = object({
    configuration     = optional(map(string))
    environment_class = optional(string)
    log_level         = optional(string)
    scale = optional(object({
      max_webservers = optional(number)
      max_workers    = optional(number)
      min_webservers = optional(number)
      min_workers    = optional(number)
      schedulers     = optional(number)
    }))
    startup_script = optional(string)
    version        = optional(string, "3.0.6")
    webserver = optional(object({
      access_mode     = optional(string)
      api_only        = optional(bool)
      cidrs           = optional(map(string))
      security_groups = optional(map(string))
    }))
  })
  default  = {}
  nullable = false
}

variable "aws_provider" {
  description = "Settings of the AWS provider itself. The defaults are right for AWS; an emulator needs the others."
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
}

variable "cluster" {
  description = "The ECS cluster and its Windows instances: what is left out has the default of modules/cluster."
  type = object({
    agent_environment  = optional(map(string))
    container_insights = optional(string)
    instance_types     = list(string)
    managed_scaling = optional(object({
      enabled                 = optional(bool)
      target_capacity_percent = optional(number)
    }))
    max_instances = number
    purchase = optional(object({
      on_demand_base       = optional(number)
      on_demand_percentage = optional(number)
      spot_strategy        = optional(string)
    }))
    reserved_memory_mib = optional(number)
    root_volume = optional(object({
      iops           = optional(number)
      size_gib       = optional(number)
      throughput_mib = optional(number)
    }))
    usd_per_hour = optional(map(number))
    windows = optional(object({
      edition = optional(string)
      version = optional(string)
    }))
  })
  nullable = false
}

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

variable "environment" {
  description = "The environment's name, which is part of every other name."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,11}$", var.environment))
    error_message = "environment must be 2 to 12 lower-case letters and digits, a letter first, such as dev."
  }
}

variable "force_destroy" {
  description = "Whether destroying the environment deletes buckets and repositories that still hold something."
  type        = bool
  default     = false
  nullable    = false
}

variable "image_digests" {
  description = "The image of each workload that has been pushed to its repository, as `sha256:…`."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for digest in values(var.image_digests) : can(regex("^sha256:[0-9a-f]{64}$", digest))])
    error_message = "image_digests takes digests, sha256: and 64 hexadecimal digits. A tag may change under a running job."
  }

  validation {
    condition     = alltrue([for workload in keys(var.image_digests) : contains([for name, size in var.workloads : name if size.image == null], workload)])
    error_message = "image_digests names a workload that is not in workloads, or that has an image of its own there."
  }
}

variable "log_retention_days" {
  description = "How long all logs are kept."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "log_retention_days must be a number of days that CloudWatch Logs knows: 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288 or 3653."
  }
}

variable "network" {
  description = "The network: what is left out has the default of modules/network."
  type = object({
    egress = optional(string)
    existing = optional(object({
      route_table_ids = optional(list(string))
      subnet_ids      = map(string)
      vpc_id          = string
    }))
    further_buckets   = optional(set(string))
    further_endpoints = optional(set(string), [])
    vpc_cidr          = optional(string)
    zones             = optional(list(string))
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.network.existing == null || (var.network.vpc_cidr == null && var.network.zones == null)
    error_message = "network.vpc_cidr and network.zones are for a VPC of its own; leave them out beside network.existing, whose subnets say both."
  }
}

variable "permissions_boundary" {
  description = "The policy, by path and name, that bounds what every role made here may ever do; null: none. `invoke bootstrap --github` makes `deployment/winbatch-<environment>-boundary`, without which its apply role can make no role."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary == null || can(regex("^[A-Za-z0-9_+=,.@-]+(/[A-Za-z0-9_+=,.@-]+)*$", var.permissions_boundary))
    error_message = "permissions_boundary is a policy's path and name in this account, without a slash at either end, such as deployment/winbatch-prod-boundary."
  }
}

variable "region" {
  description = "The region that everything is in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "region must be a region's code, such as eu-central-1."
  }
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

variable "tags" {
  description = "Further tags of every resource, such as an owner or a cost centre."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "workloads" {
  description = "The workloads: cpu units and MiB of a container, its environment, and an image by digest if it is not pushed to the workload's own repository."
  type = map(object({
    cpu         = number
    environment = optional(map(string), {})
    image       = optional(string)
    memory      = number
  }))
  nullable = false

  validation {
    condition     = alltrue([for workload in keys(var.workloads) : can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", workload))])
    error_message = "workloads are named by 2 to 32 lower-case letters, digits and inner dashes, a letter first, such as ber."
  }

  validation {
    condition     = alltrue([for size in values(var.workloads) : size.cpu >= 128 && floor(size.cpu) == size.cpu && size.memory >= 512 && floor(size.memory) == size.memory])
    error_message = "workloads need a whole cpu of at least 128 units (1024 are one vCPU) and a whole memory of at least 512 MiB."
  }

  validation {
    condition     = alltrue([for size in values(var.workloads) : size.image == null ? true : can(regex("@sha256:[0-9a-f]{64}$", size.image))])
    error_message = "A workload's own image must end in its digest, @sha256: and 64 hexadecimal digits. A tag may change under a running job."
  }

  validation {
    condition     = alltrue(flatten([for size in values(var.workloads) : [for name in keys(size.environment) : !startswith(name, "WINBATCH_") && !startswith(name, "AWS_")]]))
    error_message = "A workload's environment may not set WINBATCH_ or AWS_ variables: they belong to the contract between engine and worker."
  }
}

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
    version        = optional(string, "3.2.1")
    webserver = optional(object({
      access_mode     = optional(string)
      api_only        = optional(bool)
      cidrs           = optional(map(string))
      security_groups = optional(map(string))
    }))
  })
  default  = {}
  nullable = false

  validation {
    # Airflow 3's workers ask the API server for everything, and a public one has no address in the VPC.
    condition     = try(var.airflow.webserver.access_mode, "") != "PUBLIC_ONLY" || coalesce(var.network.egress, "endpoints") != "endpoints"
    error_message = "airflow.webserver.access_mode PUBLIC_ONLY with network.egress \"endpoints\": Airflow's workers would not reach their own API server, which is in the internet. Take PRIVATE_ONLY, PUBLIC_AND_PRIVATE (Airflow 3.2 and later), or network.egress \"nat\"."
  }

  validation {
    # The lock file says which provider plans; version 5 does not know it.
    condition     = try(var.airflow.webserver.access_mode, "") != "PUBLIC_AND_PRIVATE" || !can(regex("registry.terraform.io/hashicorp/aws\" \\{\\s*version\\s*=\\s*\"5\\.", file("${path.root}/.terraform.lock.hcl")))
    error_message = "airflow.webserver.access_mode PUBLIC_AND_PRIVATE needs version 6 of the AWS provider, and .terraform.lock.hcl holds version 5: terraform init -upgrade takes the newest, or choose PUBLIC_ONLY or PRIVATE_ONLY."
  }
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
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region's code, such as eu-central-1."
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

variable "workload_dags" {
  description = "The DAGs that each workload runs stages of: its role may work on their jobs and on no others. `plan` and `up` write it out of the job files."
  type        = map(list(string))
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for dag in flatten(values(var.workload_dags)) : can(regex("^[a-z][a-z0-9_-]{0,31}$", dag)) && !contains(["aggregate_results", "inputs", "results", "task_results"], dag)])
    error_message = "workload_dags takes ids of DAGs as dags/jobs/ has them, of lower-case letters, digits, - and _, and not inputs, results, task_results or aggregate_results, where all jobs have something."
  }

  validation {
    condition     = alltrue([for pair in setproduct(flatten(values(var.workload_dags)), var.data_prefixes, var.data_prefixes) : !startswith("${pair[2]}/", "${pair[1]}/${pair[0]}/")])
    error_message = "workload_dags names a DAG whose place for results would be one of data_prefixes, or one above it: give the DAG or the prefix another name."
  }
}

variable "workloads" {
  description = "The workloads: cpu units and MiB of a container, its environment, an image by digest if it is not pushed to the workload's own repository, and the prefixes that its items may read (`fetch`) beside the results of its own jobs; left out: `inputs` below each of data_prefixes but `jobs`."
  type = map(object({
    cpu         = number
    environment = optional(map(string), {})
    image       = optional(string)
    inputs      = optional(list(string))
    memory      = number
  }))
  nullable = false

  validation {
    condition     = alltrue([for workload in keys(var.workloads) : can(regex("^[a-z][a-z0-9-]{0,30}[a-z0-9]$", workload)) && !can(regex("^(con|prn|aux|nul|(com|lpt)[0-9])$", workload))])
    error_message = "workloads are named by 2 to 32 lower-case letters, digits and inner dashes, a letter first, such as ber, and not as a device of Windows, such as con."
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
  validation {
    condition = alltrue(flatten([for size in values(var.workloads) : [for input in coalesce(size.inputs, []) :
      can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", input)) && !startswith("${input}/", "jobs/") && anytrue([for prefix in var.data_prefixes : startswith("${input}/", "${prefix}/")])
    ]]))
    error_message = "A workload's inputs are prefixes below one of data_prefixes but jobs, without a slash at either end, such as sim/inputs."
  }
}

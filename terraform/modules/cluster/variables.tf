variable "container_insights" {
  description = "CloudWatch Container Insights: `enhanced`, `enabled` or `disabled`."
  type        = string
  default     = "enabled"
  nullable    = false

  validation {
    condition     = contains(["enhanced", "enabled", "disabled"], var.container_insights)
    error_message = "container_insights must be \"enhanced\", \"enabled\" or \"disabled\"."
  }
}

variable "data" {
  description = "The bucket that workers read and write, and its prefixes that they may use, without a slash at either end."
  type = object({
    bucket_arn = string
    prefixes   = list(string)
  })
  nullable = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::.+$", var.data.bucket_arn)) && length(var.data.prefixes) > 0 && alltrue([for prefix in var.data.prefixes : can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", prefix))])
    error_message = "data takes the bucket's ARN, arn:…:s3:::<name>, and at least one prefix without a slash at either end, such as jobs or team/sim."
  }
}

variable "images" {
  description = "The container image of each workload that has one already, with its digest."
  type        = map(string)
  nullable    = false

  validation {
    condition     = alltrue([for image in values(var.images) : can(regex("@sha256:[0-9a-f]+$", image))])
    error_message = "images takes references that end in a digest, @sha256:…: a tag may change under a running job."
  }

  validation {
    condition     = length(setsubtract(keys(var.images), keys(var.workloads))) == 0
    error_message = "images names a workload that is not in workloads."
  }
}

variable "kms_key_arn" {
  description = "The key of log groups, volumes and the data bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, arn:…:kms:<region>:<account>:key/<id>, and not of an alias: policies name keys."
  }
}

variable "log_retention_days" {
  description = "How long container logs are kept."
  type        = number
  nullable    = false

  validation {
    condition     = var.log_retention_days >= 1 && floor(var.log_retention_days) == var.log_retention_days
    error_message = "log_retention_days must be a whole number of at least 1, one that CloudWatch Logs knows, such as 365: logs have an end."
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

variable "network" {
  description = "Where instances and ECS tasks live: the VPC, its private subnets by zone letter, and by name where they may open HTTPS connections to."
  type = object({
    https_destinations = map(object({
      cidr_ipv4         = optional(string)
      prefix_list_id    = optional(string)
      security_group_id = optional(string)
    }))
    private_subnet_ids = map(string)
    vpc_id             = string
  })
  nullable = false

  validation {
    condition     = length(var.network.https_destinations) > 0 && alltrue([for peer in values(var.network.https_destinations) : length([for target in values(peer) : target if target != null]) == 1])
    error_message = "network.https_destinations names at least one peer, and each by exactly one of cidr_ipv4, prefix_list_id and security_group_id."
  }

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.network.vpc_id)) && length(var.network.private_subnet_ids) >= 2 && alltrue([for zone, id in var.network.private_subnet_ids : can(regex("^[a-z]$", zone)) && can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "network takes ids as EC2 shows them: vpc_id = \"vpc-…\", and private_subnet_ids of at least two zones by their letters, { a = \"subnet-…\", b = \"subnet-…\" }."
  }
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds what the roles may ever do; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.permissions_boundary_arn == null || can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary_arn))
    error_message = "permissions_boundary_arn must be the ARN of a policy, arn:…:iam::<account>:policy/<path and name>, or null."
  }
}

variable "region" {
  description = "The region that the logs go to and the containers call."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region's code, such as eu-central-1."
  }
}

variable "repository_arns" {
  description = "The ECR repositories that the workloads' images come from."
  type        = list(string)
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.repository_arns : can(regex("^arn:[a-z-]+:ecr:[a-z0-9-]+:[0-9]{12}:repository/.+$", arn))])
    error_message = "repository_arns takes the ARNs of ECR repositories, arn:…:ecr:<region>:<account>:repository/<name>."
  }
}

variable "shared_storage" {
  description = "The Windows share in every container, and as whom it is mounted: `credentials_arn` names a secret of Secrets Manager, or a parameter of Systems Manager, with the keys `username` and `password`, `credentials_kms_key_arn` its key if that is a customer's. null: none."
  type = object({
    container_path          = string
    credentials_arn         = string
    credentials_kms_key_arn = optional(string)
    domain                  = string
    file_system_id          = string
  })
  default = null

  validation {
    condition     = alltrue([for share in var.shared_storage[*] : can(regex("^fs-[0-9a-f]+$", share.file_system_id)) && can(regex("^arn:[a-z-]+:(secretsmanager|ssm):", share.credentials_arn))])
    error_message = "shared_storage takes a file system's id, fs-…, and the ARN of the secret or parameter that holds username and password."
  }
}

variable "tags" {
  description = "The tags of instances and volumes, which the provider's default tags do not reach."
  type        = map(string)
  nullable    = false
}

variable "workloads" {
  description = "The workloads: the size of a container, what its environment says beside the contract's own variables, the DAGs that it runs stages of, whose jobs its role may work on, and the prefixes that it may read beside them."
  type = map(object({
    cpu         = number
    dags        = optional(list(string), [])
    environment = map(string)
    inputs      = optional(list(string), [])
    memory      = number
  }))
  nullable = false

  validation {
    condition     = alltrue([for size in values(var.workloads) : size.cpu >= 128 && floor(size.cpu) == size.cpu && size.memory >= 512 && floor(size.memory) == size.memory])
    error_message = "workloads need a whole cpu of at least 128 units (1024 are one vCPU) and a whole memory of at least 512 MiB."
  }

  validation {
    condition     = alltrue(flatten([for size in values(var.workloads) : [for name in concat(size.dags, size.inputs) : can(regex("^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$", name))]]))
    error_message = "workloads takes DAGs by their ids, and inputs without a slash at either end, such as sim/inputs: what else stands there would be a pattern to IAM."
  }
}

variable "images" {
  description = "The container images that the AMI holds, by workload, each with its digest."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.images) > 0 && alltrue([for image in values(var.images) : can(regex("@sha256:[0-9a-f]+$", image))])
    error_message = "images needs at least one image by digest: push the workloads' images first, and then turn image_builder on."
  }

  validation {
    # They stand between quotes in a script.
    condition     = alltrue([for image in values(var.images) : can(regex("^[A-Za-z0-9._:/@-]+$", image))])
    error_message = "images takes references of letters, digits and . _ : / @ - only."
  }
}

variable "instance_type" {
  description = "The type of the instance that bakes."
  type        = string
  default     = "c5.xlarge"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z0-9-]+\\.[a-z0-9-]+$", var.instance_type))
    error_message = "image_builder.instance_type must be an instance type, such as c5.xlarge."
  }
}

variable "kms_key_arn" {
  description = "The key of the AMI, the component and the log bucket."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, arn:…:kms:<region>:<account>:key/<id>, and not of an alias: policies name keys."
  }
}

variable "log_bucket" {
  description = "The bucket that the builds' logs go to, below `image-builder/`."
  type        = object({ arn = string, name = string })
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:s3:::.+$", var.log_bucket.arn))
    error_message = "log_bucket takes the bucket's name and its ARN, arn:…:s3:::<name>."
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
  description = "Where the instance that bakes lives: the VPC, its private subnets by zone letter, and by name where it may open HTTPS connections to."
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
  description = "The region that the AMI is baked and used in."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region's code, such as eu-central-1."
  }
}

variable "repository_arns" {
  description = "The ECR repositories that the images come from."
  type        = list(string)
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.repository_arns : can(regex("^arn:[a-z-]+:ecr:[a-z0-9-]+:[0-9]{12}:repository/.+$", arn))])
    error_message = "repository_arns takes the ARNs of ECR repositories, arn:…:ecr:<region>:<account>:repository/<name>."
  }
}

variable "schedule" {
  description = "When the pipeline runs on its own, such as cron(0 3 ? * sun *); null: when somebody starts it."
  type        = string
  default     = null

  validation {
    condition     = alltrue([for when in var.schedule[*] : can(regex("^(cron|rate)\\(.+\\)$", when))])
    error_message = "schedule must be cron(…) or rate(…), such as cron(0 3 ? * sun *)."
  }
}

variable "tags" {
  description = "The tags of the instance that bakes and of the AMI, which the provider's default tags do not reach."
  type        = map(string)
  nullable    = false
}

variable "volume_gib" {
  description = "The size of the AMI's root volume; instances of the cluster need at least as much."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.volume_gib >= 50
    error_message = "volume_gib must be at least 50: Windows with its base layers does not fit into less."
  }
}

variable "windows" {
  description = "The Windows to bake, as modules/cluster starts it."
  type = object({
    edition = optional(string, "Core")
    version = optional(string, "2022")
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["Core", "Full"], var.windows.edition) && contains(["2019", "2022", "2025"], var.windows.version)
    error_message = "windows.edition must be \"Core\" or \"Full\", and windows.version \"2019\", \"2022\" or \"2025\"."
  }
}

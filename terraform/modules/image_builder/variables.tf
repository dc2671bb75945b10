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
}

variable "kms_key_arn" {
  description = "The key of the AMI, the component and the log bucket."
  type        = string
  nullable    = false
}

variable "log_bucket" {
  description = "The bucket that the builds' logs go to, below `image-builder/`."
  type        = object({ arn = string, name = string })
  nullable    = false
}

variable "name" {
  description = "The prefix of every name, `winbatch-<environment>`."
  type        = string
  nullable    = false
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
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds what the roles may ever do; null: none."
  type        = string
  default     = null
}

variable "region" {
  description = "The region that the AMI is baked and used in."
  type        = string
  nullable    = false
}

variable "repository_arns" {
  description = "The ECR repositories that the images come from."
  type        = list(string)
  nullable    = false
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
}

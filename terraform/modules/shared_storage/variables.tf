variable "active_directory" {
  description = "The Active Directory that decides who reads and writes: an AWS Managed Microsoft AD by its id, or one of the user's own. `join_secret_arn` names a secret of Secrets Manager with the keys `username` and `password` of an account that may join computers; `controller_cidrs` are the domain controllers where they are more than the DNS servers."
  type = object({
    managed_directory_id = optional(string)
    self_managed = optional(object({
      controller_cidrs    = optional(list(string), [])
      dns_ips             = list(string)
      domain              = string
      join_secret_arn     = string
      organizational_unit = optional(string)
    }))
  })
  nullable = false

  validation {
    condition     = (var.active_directory.managed_directory_id == null) != (var.active_directory.self_managed == null)
    error_message = "shared_storage.active_directory takes exactly one of managed_directory_id and self_managed."
  }

  validation {
    condition     = var.active_directory.managed_directory_id == null ? true : can(regex("^d-[0-9a-f]{10}$", var.active_directory.managed_directory_id))
    error_message = "shared_storage.active_directory.managed_directory_id must be a directory's id, such as d-0123456789."
  }

  validation {
    condition     = var.active_directory.self_managed == null ? true : can(regex("^arn:[^:]+:secretsmanager:[^:]+:[0-9]{12}:secret:.+$", var.active_directory.self_managed.join_secret_arn))
    error_message = "shared_storage.active_directory.self_managed.join_secret_arn must be the ARN of a secret of Secrets Manager that holds username and password; no password is taken here."
  }

  validation {
    condition     = var.active_directory.self_managed == null ? true : can(regex("^[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+$", var.active_directory.self_managed.domain)) && length(var.active_directory.self_managed.domain) <= 47
    error_message = "shared_storage.active_directory.self_managed.domain must be a full name of at most 47 characters, such as corp.example.com: FSx takes no others."
  }

  validation {
    condition     = var.active_directory.self_managed == null ? true : contains([1, 2], length(var.active_directory.self_managed.dns_ips)) && alltrue([for ip in var.active_directory.self_managed.dns_ips : can(cidrhost("${ip}/32", 0))]) && alltrue([for cidr in var.active_directory.self_managed.controller_cidrs : can(cidrhost(cidr, 0))])
    error_message = "shared_storage.active_directory.self_managed takes one or two dns_ips, such as 10.1.0.10, and controller_cidrs as ranges, such as 10.1.0.0/24."
  }
}

variable "backup_days" {
  description = "How many days automatic daily backups are kept."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 90 && floor(var.backup_days) == var.backup_days
    error_message = "shared_storage.backup_days must be a whole number between 1 and 90."
  }
}

variable "force_destroy" {
  description = "Whether destroying the environment deletes the file system. When not, it stays, without Terraform."
  type        = bool
  default     = false
  nullable    = false
}

variable "forward_dns" {
  description = "Whether a Route 53 Resolver endpoint forwards the domain's names to its DNS servers. Off where the VPC resolves them already."
  type        = bool
  default     = true
  nullable    = false
}

variable "instance_security_group_id" {
  description = "The security group of the container instances, which mount the share for their containers."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^sg-[0-9a-f]+$", var.instance_security_group_id))
    error_message = "instance_security_group_id must be a security group's id, such as sg-0123456789abcdef0."
  }
}

variable "kms_key_arn" {
  description = "The key of files and backups."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, arn:…:kms:<region>:<account>:key/<id>, and not of an alias: policies name keys."
  }
}

variable "multi_zone" {
  description = "Whether a second file server stands by in another zone."
  type        = bool
  default     = false
  nullable    = false
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

variable "private_subnet_ids" {
  description = "The private subnets by zone letter; the file servers take the first or the first two."
  type        = map(string)
  nullable    = false

  validation {
    condition     = length(var.private_subnet_ids) >= 2 && alltrue([for zone, id in var.private_subnet_ids : can(regex("^[a-z]$", zone)) && can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "private_subnet_ids names the subnets of at least two zones by their letters, such as { a = \"subnet-…\", b = \"subnet-…\" }."
  }
}

variable "size_gib" {
  description = "The file system's size on SSD. It can grow later, not shrink."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.size_gib >= 32 && var.size_gib <= 65536 && floor(var.size_gib) == var.size_gib
    error_message = "shared_storage.size_gib must be a whole number between 32 and 65536, which is what FSx has on SSD."
  }
}

variable "throughput_mib" {
  description = "What the file server moves in MiB a second."
  type        = number
  default     = 32
  nullable    = false

  validation {
    condition     = contains([32, 64, 128, 256, 512, 1024, 2048], var.throughput_mib)
    error_message = "shared_storage.throughput_mib must be 32, 64, 128, 256, 512, 1024 or 2048."
  }
}

variable "vpc_id" {
  description = "The VPC of the security groups."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^vpc-[0-9a-f]+$", var.vpc_id))
    error_message = "vpc_id must be a VPC's id, such as vpc-0123456789abcdef0."
  }
}

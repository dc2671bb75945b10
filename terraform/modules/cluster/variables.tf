variable "agent_environment" {
  description = "Further environment variables of the ECS agent on each instance; they win over the module's own."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name in keys(var.agent_environment) : startswith(name, "ECS_")])
    error_message = "agent_environment takes the agent's variables only; each name must start with ECS_."
  }
}

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

variable "data_bucket_arn" {
  description = "The bucket that workers read and write."
  type        = string
  nullable    = false
}

variable "data_prefixes" {
  description = "The data bucket's prefixes that workers read and write, without a slash at either end."
  type        = list(string)
  nullable    = false
}

variable "https_destinations" {
  description = "Where instances and ECS tasks may open HTTPS connections to, by name."
  type = map(object({
    cidr_ipv4         = optional(string)
    prefix_list_id    = optional(string)
    security_group_id = optional(string)
  }))
  nullable = false
}

variable "images" {
  description = "The container image of each workload that has one already, with its digest."
  type        = map(string)
  nullable    = false
}

variable "instance_types" {
  description = "The instance types that Auto Scaling may choose from, in order of preference."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.instance_types) > 0 && length(distinct(var.instance_types)) == length(var.instance_types)
    error_message = "instance_types must name at least one instance type, and each only once."
  }
}

variable "kms_key_arn" {
  description = "The key of log groups, volumes and the data bucket."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "How long container logs are kept."
  type        = number
  nullable    = false
}

variable "managed_scaling" {
  description = "Whether ECS itself scales the group by the tasks that wait. Off: the DAG scales, which is faster from zero and stops exactly."
  type = object({
    enabled                 = optional(bool, false)
    target_capacity_percent = optional(number, 100)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.managed_scaling.target_capacity_percent >= 1 && var.managed_scaling.target_capacity_percent <= 100
    error_message = "managed_scaling.target_capacity_percent must be between 1 and 100."
  }
}

variable "max_instances" {
  description = "The most instances that a job may ask for."
  type        = number
  nullable    = false

  validation {
    condition     = var.max_instances >= 1 && var.max_instances <= 5000 && floor(var.max_instances) == var.max_instances
    error_message = "max_instances must be a whole number between 1 and 5000, which is what an ECS cluster holds."
  }
}

variable "name" {
  description = "The prefix of every name, `winbatch-<environment>`."
  type        = string
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "The policy that bounds what the roles may ever do; null: none."
  type        = string
  default     = null
}

variable "private_subnet_ids" {
  description = "The subnets of instances and ECS tasks, by zone letter."
  type        = map(string)
  nullable    = false
}

variable "purchase" {
  description = "How instances are bought: this many On-Demand, then this percentage of the rest; what is left is Spot."
  type = object({
    on_demand_base       = optional(number, 0)
    on_demand_percentage = optional(number, 100)
    spot_strategy        = optional(string, "price-capacity-optimized")
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.purchase.on_demand_base >= 0 && var.purchase.on_demand_percentage >= 0 && var.purchase.on_demand_percentage <= 100
    error_message = "purchase.on_demand_base must not be negative, and purchase.on_demand_percentage must be between 0 and 100."
  }

  validation {
    condition     = contains(["price-capacity-optimized", "capacity-optimized", "capacity-optimized-prioritized", "lowest-price"], var.purchase.spot_strategy)
    error_message = "purchase.spot_strategy must be price-capacity-optimized, capacity-optimized, capacity-optimized-prioritized or lowest-price."
  }
}

variable "region" {
  description = "The region that the logs go to and the containers call."
  type        = string
  nullable    = false
}

variable "repository_arns" {
  description = "The ECR repositories that the workloads' images come from."
  type        = list(string)
  nullable    = false
}

variable "reserved_memory_mib" {
  description = "The memory of each instance that no ECS task gets: Windows needs it."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.reserved_memory_mib >= 0
    error_message = "reserved_memory_mib must not be negative."
  }
}

variable "root_volume" {
  description = "Each instance's gp3 volume; throughput decides how fast a Windows image unpacks."
  type = object({
    iops           = optional(number, 3000)
    size_gib       = optional(number, 100)
    throughput_mib = optional(number, 250)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.root_volume.size_gib >= 50
    error_message = "root_volume.size_gib must be at least 50: Windows with its base layers does not fit into less."
  }

  validation {
    condition     = var.root_volume.iops >= 3000 && var.root_volume.iops <= 16000 && var.root_volume.throughput_mib >= 125 && var.root_volume.throughput_mib <= 1000
    error_message = "root_volume takes what gp3 has: iops between 3000 and 16000, throughput_mib between 125 and 1000."
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
}

variable "tags" {
  description = "The tags of instances and volumes, which the provider's default tags do not reach."
  type        = map(string)
  nullable    = false
}

variable "usd_per_hour" {
  description = "What you pay an hour for each instance type, in US dollars, for the cost shown while a job runs. Types that are left out have no price, and no cost is shown."
  type        = map(number)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for price in values(var.usd_per_hour) : price >= 0])
    error_message = "usd_per_hour must not be negative; leave a type out and no cost is shown."
  }

  validation {
    condition     = length(setsubtract(keys(var.usd_per_hour), var.instance_types)) == 0
    error_message = "usd_per_hour names a type that is not in instance_types."
  }
}

variable "vpc_id" {
  description = "The VPC of the security groups."
  type        = string
  nullable    = false
}

variable "windows" {
  description = "The Windows of the instances and containers; with process isolation the two must match."
  type = object({
    edition = optional(string, "Core")
    version = optional(string, "2022")
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["Core", "Full"], var.windows.edition)
    error_message = "windows.edition must be \"Core\" or \"Full\"."
  }

  validation {
    condition     = contains(["2019", "2022"], var.windows.version)
    error_message = "windows.version must be \"2019\" or \"2022\"; the locked AWS provider refuses task definitions for 2025."
  }
}

variable "workloads" {
  description = "The workloads: the size of a container and what its environment says beside the contract's own variables."
  type = map(object({
    cpu         = number
    environment = map(string)
    memory      = number
  }))
  nullable = false
}

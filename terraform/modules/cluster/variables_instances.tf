variable "agent" {
  description = "The ECS agent on each instance: `environment` are further variables of its own, which win over the module's; `reserved_memory_mib` is memory that no ECS task gets, because Windows needs it."
  type = object({
    environment         = optional(map(string), {})
    reserved_memory_mib = optional(number, 1024)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for name in keys(var.agent.environment) : startswith(name, "ECS_")])
    error_message = "agent_environment takes the agent's variables only; each name must start with ECS_."
  }

  validation {
    condition     = var.agent.reserved_memory_mib >= 0
    error_message = "reserved_memory_mib must not be negative."
  }
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

variable "usd_per_hour" {
  description = "What you pay an hour for each instance type, in US dollars, for the cost shown while a job runs. Types that are left out count as the dearest of the others; without any, no cost is shown."
  type        = map(number)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for price in values(var.usd_per_hour) : price >= 0])
    error_message = "usd_per_hour must not be negative; leave a type out and it counts as the dearest of the others."
  }

  validation {
    condition     = length(setsubtract(keys(var.usd_per_hour), var.instance_types)) == 0
    error_message = "usd_per_hour names a type that is not in instance_types."
  }
}

variable "warm_pool" {
  description = "Instances that are initialised ahead of a job and wait in a `state`, `Stopped`, `Hibernated` or `Running`; null: none. `max_prepared` bounds the pool and the instances at work together, `min_size` stays in the pool whatever is at work."
  type = object({
    max_prepared = optional(number, 1)
    min_size     = optional(number, 0)
    state        = optional(string, "Stopped")
  })
  default = null

  validation {
    condition     = alltrue([for pool in var.warm_pool[*] : contains(["Hibernated", "Running", "Stopped"], pool.state)])
    error_message = "warm_pool.state must be \"Stopped\", \"Hibernated\" or \"Running\"."
  }

  validation {
    condition     = alltrue([for pool in var.warm_pool[*] : pool.min_size >= 0 && pool.min_size <= pool.max_prepared && pool.max_prepared >= 1 && pool.max_prepared <= var.max_instances])
    error_message = "warm_pool.max_prepared must be between 1 and max_instances, and warm_pool.min_size between 0 and warm_pool.max_prepared."
  }

  validation {
    condition     = var.warm_pool == null || var.purchase.on_demand_percentage == 100
    error_message = "Auto Scaling keeps no Spot instances in a warm pool: set purchase.on_demand_percentage to 100 or leave warm_pool out."
  }
}

variable "windows" {
  description = "The Windows of the instances and containers; with process isolation the two must match. An AMI of your own, by id or by a parameter of Systems Manager that each launch reads, must be of the same version and edition, with the ECS agent in it."
  type = object({
    ami_id        = optional(string)
    ami_parameter = optional(string)
    edition       = optional(string, "Core")
    version       = optional(string, "2022")
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["Core", "Full"], var.windows.edition)
    error_message = "windows.edition must be \"Core\" or \"Full\"."
  }

  validation {
    condition     = contains(["2019", "2022", "2025"], var.windows.version)
    error_message = "windows.version must be \"2019\", \"2022\" or \"2025\"."
  }

  validation {
    condition     = var.windows.ami_id == null || var.windows.ami_parameter == null
    error_message = "windows takes ami_id or ami_parameter, not both."
  }

  validation {
    condition     = alltrue([for id in var.windows.ami_id[*] : can(regex("^ami-[0-9a-f]{8,17}$", id))]) && alltrue([for name in var.windows.ami_parameter[*] : startswith(name, "/")])
    error_message = "windows.ami_id must be an AMI's id, such as ami-0123456789abcdef0, and windows.ami_parameter a parameter's whole name, such as /imagebuilder/winbatch-prod/ami."
  }
}

variable "cluster" {
  description = "The ECS cluster and its Windows instances: what is left out has the default of modules/cluster."
  type = object({
    agent_environment  = optional(map(string))
    container_insights = optional(string)
    data_volume = optional(object({
      iops           = optional(number)
      size_gib       = optional(number)
      source         = optional(string)
      throughput_mib = optional(number)
      use            = optional(string)
    }))
    instance_types = list(string)
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
      initialization_rate_mib = optional(number)
      iops                    = optional(number)
      size_gib                = optional(number)
      throughput_mib          = optional(number)
    }))
    usd_per_hour = optional(map(number))
    warm_pool = optional(object({
      max_prepared = optional(number)
      min_size     = optional(number)
      state        = optional(string)
    }))
    windows = optional(object({
      ami_id        = optional(string)
      ami_parameter = optional(string)
      edition       = optional(string)
      version       = optional(string)
    }))
  })
  nullable = false

  validation {
    # The lock file says which provider plans; version 5 knows no task definitions for 2025.
    condition     = try(var.cluster.windows.version, "") != "2025" || !can(regex("registry.terraform.io/hashicorp/aws\" \\{\\s*version\\s*=\\s*\"5\\.", file("${path.root}/.terraform.lock.hcl")))
    error_message = "cluster.windows.version 2025 needs version 6 of the AWS provider, and .terraform.lock.hcl holds version 5: terraform init -upgrade takes the newest, or choose 2022."
  }
}

variable "image_builder" {
  description = "A pipeline of EC2 Image Builder that bakes AMIs with the workloads' images (modules/image_builder): the type of the instance that bakes, and a schedule, such as cron(0 3 ? * sun *), if it is to run on its own. null: none."
  type = object({
    instance_type = optional(string)
    schedule      = optional(string)
  })
  default = null
}

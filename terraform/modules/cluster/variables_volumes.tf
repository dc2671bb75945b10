variable "data_volume" {
  description = "A fast volume D: on each instance; null: none. `source` is `ebs` (a gp3 volume of this size) or `instance-store` (the first disk that the instance type brings along). `use` is `scratch` (every container sees it as D: and keeps its temporary files there) or `docker` (images and containers lie there)."
  type = object({
    iops           = optional(number, 3000)
    size_gib       = optional(number, 100)
    source         = optional(string, "ebs")
    throughput_mib = optional(number, 500)
    use            = optional(string, "scratch")
  })
  default = null

  validation {
    condition     = alltrue([for volume in var.data_volume[*] : contains(["ebs", "instance-store"], volume.source) && contains(["docker", "scratch"], volume.use)])
    error_message = "data_volume.source must be \"ebs\" or \"instance-store\", and data_volume.use \"scratch\" or \"docker\"."
  }

  validation {
    condition     = alltrue([for volume in var.data_volume[*] : volume.size_gib >= 1 && volume.iops >= 3000 && volume.iops <= 16000 && volume.throughput_mib >= 125 && volume.throughput_mib <= 1000])
    error_message = "data_volume takes what gp3 has: iops between 3000 and 16000, throughput_mib between 125 and 1000, and a size_gib of at least 1."
  }

  validation {
    condition     = alltrue([for volume in var.data_volume[*] : volume.throughput_mib * 4 <= volume.iops])
    error_message = "data_volume.throughput_mib may be at most a quarter of data_volume.iops: gp3 gives 0.25 MiB/s an operation."
  }

  validation {
    condition     = alltrue([for volume in var.data_volume[*] : volume.source == "ebs" || try(var.warm_pool.state, "Running") == "Running"])
    error_message = "An instance store is empty after each stop: choose data_volume.source \"ebs\" or warm_pool.state \"Running\"."
  }
}

variable "root_volume" {
  description = "Each instance's gp3 volume; throughput decides how fast a Windows image unpacks. `initialization_rate_mib` fetches the AMI's blocks ahead of their first use, at this rate and for a price; null: as they are used."
  type = object({
    initialization_rate_mib = optional(number)
    iops                    = optional(number, 3000)
    size_gib                = optional(number, 100)
    throughput_mib          = optional(number, 250)
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

  validation {
    condition     = var.root_volume.throughput_mib * 4 <= var.root_volume.iops
    error_message = "root_volume.throughput_mib may be at most a quarter of root_volume.iops: gp3 gives 0.25 MiB/s an operation."
  }

  validation {
    condition     = alltrue([for rate in var.root_volume.initialization_rate_mib[*] : rate >= 100 && rate <= 300])
    error_message = "root_volume.initialization_rate_mib must be between 100 and 300, which is what EBS offers."
  }
}

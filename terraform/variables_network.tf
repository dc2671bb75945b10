variable "network" {
  description = "The network: what is left out has the default of modules/network."
  type = object({
    egress = optional(string)
    existing = optional(object({
      route_table_ids = optional(list(string))
      subnet_ids      = map(string)
      vpc_id          = string
    }))
    further_buckets   = optional(set(string), [])
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

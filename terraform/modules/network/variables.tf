variable "egress" {
  description = "The way out of the private subnets: `endpoints` (interface endpoints for what the system calls, no internet) or `nat` (one NAT gateway, internet)."
  type        = string
  default     = "endpoints"
  nullable    = false

  validation {
    condition     = contains(["endpoints", "nat"], var.egress)
    error_message = "egress must be \"endpoints\" or \"nat\"."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the flow logs."
  type        = string
  nullable    = false
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
  type        = number
  nullable    = false
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

variable "region" {
  description = "The region that the endpoints serve."
  type        = string
  nullable    = false
}

variable "vpc_cidr" {
  description = "The VPC's addresses. A sixteenth of them goes to each zone's private subnet, and each ECS task takes one."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "vpc_cidr must be an IPv4 range between /16 and /20, such as 10.0.0.0/16."
  }
}

variable "zones" {
  description = "The letters of two or three availability zones of the region. Named and not counted, so that a zone that AWS adds or closes moves no subnet."
  type        = list(string)
  default     = ["a", "b"]
  nullable    = false

  validation {
    condition     = contains([2, 3], length(var.zones)) && length(distinct(var.zones)) == length(var.zones) && alltrue([for letter in var.zones : can(regex("^[a-z]$", letter))])
    error_message = "network.zones must name 2 or 3 different zones by their letters, such as [\"a\", \"b\"]: MWAA needs two."
  }
}

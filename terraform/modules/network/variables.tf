variable "egress" {
  description = "The way out of the private subnets: `endpoints` (interface endpoints for what the system calls, no internet), `nat` (one NAT gateway), `nat_per_zone` (one in each zone) or `existing` (a network of the user's own that has a way out)."
  type        = string
  default     = "endpoints"
  nullable    = false

  validation {
    condition     = contains(["endpoints", "existing", "nat", "nat_per_zone"], var.egress)
    error_message = "network.egress must be \"endpoints\", \"existing\", \"nat\" or \"nat_per_zone\"."
  }

  validation {
    condition     = var.egress != "existing" || var.existing != null
    error_message = "network.egress = \"existing\" needs to be told the network: network.existing = { vpc_id = \"vpc-…\", subnet_ids = { a = \"subnet-…\", b = \"subnet-…\" } }."
  }

  validation {
    condition     = var.existing == null || contains(["endpoints", "existing"], var.egress)
    error_message = "NAT gateways are for a VPC of its own: with network.existing, network.egress must be \"existing\" (the network has a way out) or \"endpoints\" (it has none)."
  }

  validation {
    condition     = var.existing == null || var.egress != "endpoints" ? true : length(var.existing.route_table_ids) > 0
    error_message = "network.egress = \"endpoints\" in an existing VPC needs network.existing.route_table_ids, the route tables of its subnets: the way to S3 is a route in them."
  }
}

variable "existing" {
  description = "An existing VPC instead of one of its own: private subnets by zone letter and, for `endpoints`, their route tables. Its flow logs are its owner's."
  type = object({
    route_table_ids = optional(list(string), [])
    subnet_ids      = map(string)
    vpc_id          = string
  })
  default = null

  validation {
    condition     = var.existing == null ? true : can(regex("^vpc-[0-9a-f]+$", var.existing.vpc_id)) && alltrue([for id in values(var.existing.subnet_ids) : can(regex("^subnet-[0-9a-f]+$", id))]) && alltrue([for id in var.existing.route_table_ids : can(regex("^rtb-[0-9a-f]+$", id))])
    error_message = "network.existing takes ids as EC2 shows them: vpc_id = \"vpc-…\", subnet_ids = { a = \"subnet-…\" }, route_table_ids = [\"rtb-…\"]."
  }

  validation {
    condition     = var.existing == null ? true : contains([2, 3], length(var.existing.subnet_ids)) && alltrue([for letter in keys(var.existing.subnet_ids) : can(regex("^[a-z]$", letter))])
    error_message = "network.existing.subnet_ids must name a private subnet in each of 2 or 3 zones by the zone's letter, such as { a = \"subnet-…\", b = \"subnet-…\" }: MWAA needs two zones."
  }
}

variable "further_buckets" {
  description = "Buckets of other accounts that may be read through S3's gateway when `egress` is `endpoints`, by name."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for bucket in var.further_buckets : can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", bucket))])
    error_message = "network.further_buckets takes the names of buckets, such as \"ec2imagebuilder-toe-eu-central-1-prod\"."
  }
}

variable "further_endpoints" {
  description = "Services beside the system's own that get an interface endpoint when `egress` is `endpoints`, as AWS names them after the region, such as `secretsmanager`."
  type        = set(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for service in var.further_endpoints : can(regex("^[a-z][a-z0-9-]*(\\.[a-z0-9-]+)*$", service)) && !startswith(service, "com.amazonaws.") && service != "s3"])
    error_message = "network.further_endpoints takes what stands after the region in an endpoint's service name, such as \"secretsmanager\" for com.amazonaws.eu-central-1.secretsmanager. S3 has its gateway already."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the flow logs."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn must be the ARN of a key, arn:…:kms:<region>:<account>:key/<id>, and not of an alias: policies name keys."
  }
}

variable "log_retention_days" {
  description = "How long flow logs are kept."
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
  description = "The region that the endpoints serve."
  type        = string
  nullable    = false

  validation {
    condition     = can(regex("^[a-z]+(-[a-z]+)+-[0-9]+$", var.region))
    error_message = "region must be a region's code, such as eu-central-1."
  }
}

variable "vpc_cidr" {
  description = "The VPC's addresses. A sixteenth of them goes to each zone's private subnet, and each ECS task takes one."
  type        = string
  default     = "10.0.0.0/16"
  nullable    = false

  validation {
    condition     = can(cidrhost(var.vpc_cidr, 0)) && try(tonumber(split("/", var.vpc_cidr)[1]) >= 16 && tonumber(split("/", var.vpc_cidr)[1]) <= 20, false)
    error_message = "network.vpc_cidr must be an IPv4 range between /16 and /20, such as 10.0.0.0/16."
  }
}

variable "zones" {
  description = "The letters of two or three availability zones of the region. Named and not counted, so that a zone that AWS adds or closes moves no subnet."
  type        = list(string)
  default     = ["a", "b"]
  nullable    = false

  validation {
    condition     = contains([2, 3], length(var.zones)) && length(distinct(var.zones)) == length(var.zones)
    error_message = "network.zones must name 2 or 3 different zones, such as [\"a\", \"b\"]: MWAA needs two."
  }

  validation {
    condition     = alltrue([for letter in var.zones : can(regex("^[a-z]$", letter))])
    error_message = "network.zones takes the zones' letters alone, such as \"a\" for eu-central-1a."
  }
}

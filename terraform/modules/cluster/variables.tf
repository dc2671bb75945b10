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

variable "data" {
  description = "The bucket that workers read and write, and its prefixes that they may use, without a slash at either end."
  type = object({
    bucket_arn = string
    prefixes   = list(string)
  })
  nullable = false
}

variable "images" {
  description = "The container image of each workload that has one already, with its digest."
  type        = map(string)
  nullable    = false
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

variable "name" {
  description = "The prefix of every name, `winbatch-<environment>`."
  type        = string
  nullable    = false
}

variable "network" {
  description = "Where instances and ECS tasks live: the VPC, its private subnets by zone letter, and by name where they may open HTTPS connections to."
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
  description = "The region that the logs go to and the containers call."
  type        = string
  nullable    = false
}

variable "repository_arns" {
  description = "The ECR repositories that the workloads' images come from."
  type        = list(string)
  nullable    = false
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

variable "workloads" {
  description = "The workloads: the size of a container and what its environment says beside the contract's own variables."
  type = map(object({
    cpu         = number
    environment = map(string)
    memory      = number
  }))
  nullable = false
}

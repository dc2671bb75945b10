variable "force_destroy" {
  description = "Whether destroying the environment deletes repositories that still hold images."
  type        = bool
  default     = false
  nullable    = false
}

variable "kept_images" {
  description = "How many images a repository keeps."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition     = var.kept_images >= 2 && floor(var.kept_images) == var.kept_images
    error_message = "kept_images must be a whole number of at least 2, so that the running image survives the next push."
  }
}

variable "kms_key_arn" {
  description = "The key that encrypts the images."
  type        = string
  nullable    = false
}

variable "name" {
  description = "The prefix of every name, `winbatch-<environment>`; a repository is `<name>/<workload>`."
  type        = string
  nullable    = false
}

variable "workloads" {
  description = "The workloads that get a repository."
  type        = set(string)
  nullable    = false
}

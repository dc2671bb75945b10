variable "airflow_version" {
  description = "The Airflow version, one that MWAA offers."
  type        = string
  default     = "3.2.1"
  nullable    = false

  validation {
    condition     = can(regex("^3\\.[0-9]+\\.[0-9]+$", var.airflow_version))
    error_message = "airflow.version must be an Airflow 3 version in full, such as 3.2.1: the DAGs are written for Airflow 3."
  }
}

variable "configuration" {
  description = "Airflow configuration options, `section.key` to value; they win over the module's own."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for option in keys(var.configuration) : can(regex("^[a-z_]+\\.[a-z0-9_]+$", option))])
    error_message = "airflow.configuration takes options as section.key, such as core.default_task_retries."
  }
}

variable "environment_class" {
  description = "The size of Airflow's components, `mw1.micro` to `mw1.2xlarge`."
  type        = string
  default     = "mw1.small"
  nullable    = false

  validation {
    condition     = contains(["mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge"], var.environment_class)
    error_message = "airflow.environment_class must be mw1.micro, mw1.small, mw1.medium, mw1.large, mw1.xlarge or mw1.2xlarge."
  }
}

variable "log_level" {
  description = "The least severe level that Airflow's five logs keep."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"], var.log_level)
    error_message = "airflow.log_level must be CRITICAL, ERROR, WARNING, INFO or DEBUG."
  }
}

variable "scale" {
  description = "How many of each component. What is left out is 1 for `mw1.micro`, and else 1 to 2 workers, 2 web servers and 2 schedulers."
  type = object({
    max_webservers = optional(number)
    max_workers    = optional(number)
    min_webservers = optional(number)
    min_workers    = optional(number)
    schedulers     = optional(number)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for count in values(var.scale) : floor(coalesce(count, 1)) == coalesce(count, 1)])
    error_message = "airflow.scale takes whole numbers."
  }

  validation {
    condition     = var.environment_class != "mw1.micro" || alltrue([for count in values(var.scale) : coalesce(count, 1) == 1])
    error_message = "airflow.scale: mw1.micro has exactly 1 of each component; leave scale out, or choose mw1.small for more."
  }

  validation {
    condition = (
      coalesce(var.scale.min_workers, 1) >= 1 &&
      coalesce(var.scale.min_workers, 1) <= coalesce(var.scale.max_workers, 25) &&
      coalesce(var.scale.max_workers, 1) <= 25
    )
    error_message = "airflow.scale needs 1 <= min_workers <= max_workers <= 25."
  }

  validation {
    condition = var.environment_class == "mw1.micro" || (
      coalesce(var.scale.min_webservers, 2) >= 2 &&
      coalesce(var.scale.min_webservers, 2) <= coalesce(var.scale.max_webservers, 5) &&
      coalesce(var.scale.max_webservers, 2) <= 5
    )
    error_message = "airflow.scale needs 2 <= min_webservers <= max_webservers <= 5."
  }

  validation {
    condition     = var.environment_class == "mw1.micro" || (coalesce(var.scale.schedulers, 2) >= 2 && coalesce(var.scale.schedulers, 2) <= 5)
    error_message = "airflow.scale needs schedulers between 2 and 5."
  }
}

variable "startup_script" {
  description = "The text of a shell script that each of Airflow's components runs before it starts; null: none."
  type        = string
  default     = null

  validation {
    condition     = var.startup_script == null || try(startswith(var.startup_script, "#!"), false)
    error_message = "airflow.startup_script must be a shell script's text with its first line, #!/bin/sh, or null for none."
  }
}

variable "webserver" {
  description = "Who reaches the Airflow page. `PRIVATE_ONLY`: the networks in `cidrs` and the members of `security_groups` (each by name), over a route into the VPC, or nobody if `api_only` says that API calls through AWS are enough. `PUBLIC_ONLY`: the internet, behind a log-in with IAM, and Airflow's own workers over a way out into it. `PUBLIC_AND_PRIVATE` (Airflow 3.2 and later): the internet, and an endpoint in the VPC for the workers and for those that a private page lets in."
  type = object({
    access_mode     = optional(string, "PRIVATE_ONLY")
    api_only        = optional(bool, false)
    cidrs           = optional(map(string), {})
    security_groups = optional(map(string), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = contains(["PRIVATE_ONLY", "PUBLIC_ONLY", "PUBLIC_AND_PRIVATE"], var.webserver.access_mode)
    error_message = "airflow.webserver.access_mode must be PRIVATE_ONLY, PUBLIC_ONLY or PUBLIC_AND_PRIVATE."
  }

  validation {
    # Of Airflow 3, 3.0 and 3.1 came before.
    condition     = var.webserver.access_mode != "PUBLIC_AND_PRIVATE" || !can(regex("^3\\.[01]\\.", var.airflow_version))
    error_message = "airflow.webserver.access_mode PUBLIC_AND_PRIVATE needs Airflow 3.2 or later: take a newer airflow.version, or PUBLIC_ONLY."
  }

  validation {
    condition = (
      var.webserver.access_mode != "PRIVATE_ONLY" || var.webserver.api_only || length(var.webserver.cidrs) + length(var.webserver.security_groups) > 0
    )
    error_message = "airflow.webserver: a private page has no way in. Name who has a route into the VPC in cidrs (a VPN's network) or security_groups (a jump host's), or say api_only = true if nobody needs the page, or access_mode = \"PUBLIC_ONLY\"."
  }

  validation {
    condition     = !(var.webserver.api_only || var.webserver.access_mode == "PUBLIC_ONLY") || length(var.webserver.cidrs) + length(var.webserver.security_groups) == 0
    error_message = "airflow.webserver: cidrs and security_groups let somebody in to a private page; they go neither with api_only nor with PUBLIC_ONLY, which no security group bounds."
  }

  validation {
    condition     = !var.webserver.api_only || var.webserver.access_mode == "PRIVATE_ONLY"
    error_message = "airflow.webserver: api_only is for a private page; with a public one leave it out."
  }

  validation {
    condition     = alltrue([for cidr in values(var.webserver.cidrs) : can(cidrhost(cidr, 0)) && try(tonumber(split("/", cidr)[1]) >= 8, false)])
    error_message = "airflow.webserver.cidrs takes networks with a prefix of at least /8, by name, such as { vpn = \"10.8.0.0/16\" }."
  }

  validation {
    condition     = alltrue([for group in values(var.webserver.security_groups) : can(regex("^sg-[0-9a-f]{8,17}$", group))])
    error_message = "airflow.webserver.security_groups takes ids by name, such as { jump = \"sg-0123456789abcdef0\" }."
  }
}

# Somebody else's VPC is only read, and has to be one that works.

data "aws_vpc" "existing" {
  count = local.own ? 0 : 1

  id = var.existing.vpc_id

  lifecycle {
    postcondition {
      condition     = self.enable_dns_support && self.enable_dns_hostnames
      error_message = "${var.existing.vpc_id} does not resolve the names of MWAA and of interface endpoints: turn on enableDnsSupport and enableDnsHostnames."
    }
  }
}

data "aws_subnet" "existing" {
  for_each = local.own ? {} : var.existing.subnet_ids

  id = each.value

  lifecycle {
    postcondition {
      condition     = self.vpc_id == var.existing.vpc_id
      error_message = "${each.value} lies in ${self.vpc_id}; network.existing.subnet_ids must name subnets of ${var.existing.vpc_id}."
    }

    postcondition {
      condition     = self.availability_zone == "${var.region}${each.key}"
      error_message = "${each.value} lies in zone ${self.availability_zone}; network.existing.subnet_ids must name a subnet of ${var.region}${each.key} as \"${each.key}\"."
    }

    postcondition {
      condition     = !self.map_public_ip_on_launch
      error_message = "${each.value} gives what is launched in it a public address; network.existing.subnet_ids must name private subnets."
    }
  }
}

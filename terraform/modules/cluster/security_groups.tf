# Nothing comes in: instances call the ECS service, workers call S3, and Session Manager is the way in for people.

resource "aws_security_group" "instances" {
  name        = "${var.name}-instances"
  description = "Container instances: HTTPS out"
  vpc_id      = var.network.vpc_id

  tags = { Name = "${var.name}-instances" }
}

resource "aws_security_group" "tasks" {
  #checkov:skip=CKV2_AWS_5: until 2027-05-31: RunTask attaches it; deployment.json tells the DAGs its id
  name        = "${var.name}-tasks"
  description = "ECS tasks: HTTPS out"
  vpc_id      = var.network.vpc_id

  tags = { Name = "${var.name}-tasks" }
}

locals {
  groups = { instances = aws_security_group.instances.id, tasks = aws_security_group.tasks.id }

  https = merge([
    for group in keys(local.groups) : {
      for destination, peer in var.network.https_destinations : "${group}-${destination}" => merge(peer, { group = group, destination = destination })
    }
  ]...)
}

resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = local.https

  security_group_id            = local.groups[each.value.group]
  description                  = "HTTPS to ${each.value.destination}"
  cidr_ipv4                    = each.value.cidr_ipv4
  prefix_list_id               = each.value.prefix_list_id
  referenced_security_group_id = each.value.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443

  tags = { Name = "${var.name}-${each.value.group}-https-${each.value.destination}" }
}

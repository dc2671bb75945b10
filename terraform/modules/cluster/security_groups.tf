# Nothing comes in: instances call the ECS service, workers call S3, and Session Manager is the way in for people.

resource "aws_security_group" "instances" {
  name        = "${var.name}-instances"
  description = "Container instances: HTTPS out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-instances" }
}

resource "aws_security_group" "tasks" {
  #checkov:skip=CKV2_AWS_5: until 2027-05-31: RunTask attaches it; deployment.json tells the DAGs its id
  name        = "${var.name}-tasks"
  description = "ECS tasks: HTTPS out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-tasks" }
}

resource "aws_vpc_security_group_egress_rule" "instances_https" {
  for_each = var.https_destinations

  security_group_id            = aws_security_group.instances.id
  description                  = "HTTPS to ${each.key}"
  cidr_ipv4                    = each.value.cidr_ipv4
  prefix_list_id               = each.value.prefix_list_id
  referenced_security_group_id = each.value.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443

  tags = { Name = "${var.name}-instances-https-${each.key}" }
}

resource "aws_vpc_security_group_egress_rule" "tasks_https" {
  for_each = var.https_destinations

  security_group_id            = aws_security_group.tasks.id
  description                  = "HTTPS to ${each.key}"
  cidr_ipv4                    = each.value.cidr_ipv4
  prefix_list_id               = each.value.prefix_list_id
  referenced_security_group_id = each.value.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443

  tags = { Name = "${var.name}-tasks-https-${each.key}" }
}

resource "aws_security_group" "airflow" {
  name        = "${var.name}-airflow"
  description = "Airflow's components among themselves, HTTPS out"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-airflow" }
}

# MWAA's components, database and web server meet in this group; MWAA asks for all ports.
resource "aws_vpc_security_group_ingress_rule" "self" {
  security_group_id            = aws_security_group.airflow.id
  description                  = "Airflow's components"
  referenced_security_group_id = aws_security_group.airflow.id
  ip_protocol                  = "-1"

  tags = { Name = "${var.name}-airflow-self" }
}

# The private page's endpoint in the VPC is a member of this group too.
resource "aws_vpc_security_group_ingress_rule" "page" {
  for_each = merge(
    { for name, cidr in var.webserver.cidrs : "network-${name}" => { cidr_ipv4 = cidr, security_group = null } },
    { for name, group in var.webserver.security_groups : "group-${name}" => { cidr_ipv4 = null, security_group = group } },
  )

  security_group_id            = aws_security_group.airflow.id
  description                  = "The Airflow page for ${each.key}"
  cidr_ipv4                    = each.value.cidr_ipv4
  referenced_security_group_id = each.value.security_group
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443

  tags = { Name = "${var.name}-airflow-page-${each.key}" }
}

resource "aws_vpc_security_group_egress_rule" "self" {
  security_group_id            = aws_security_group.airflow.id
  description                  = "Airflow's components"
  referenced_security_group_id = aws_security_group.airflow.id
  ip_protocol                  = "-1"

  tags = { Name = "${var.name}-airflow-self" }
}

resource "aws_vpc_security_group_egress_rule" "https" {
  for_each = var.https_destinations

  security_group_id            = aws_security_group.airflow.id
  description                  = "HTTPS to ${each.key}"
  cidr_ipv4                    = each.value.cidr_ipv4
  prefix_list_id               = each.value.prefix_list_id
  referenced_security_group_id = each.value.security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443

  tags = { Name = "${var.name}-airflow-https-${each.key}" }
}

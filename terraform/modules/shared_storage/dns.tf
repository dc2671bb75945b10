# The instances look for the file server by a name of the domain, which the VPC's own resolver does not know.

locals {
  dns = var.forward_dns ? toset(["tcp", "udp"]) : toset([])
}

resource "aws_security_group" "dns" {
  count = var.forward_dns ? 1 : 0

  name        = "${var.name}-domain-dns"
  description = "DNS to the domain's servers"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-domain-dns" }
}

resource "aws_vpc_security_group_egress_rule" "dns" {
  for_each = { for pair in setproduct(local.dns, local.dns_ips) : "${pair[0]}-${pair[1]}" => { protocol = pair[0], ip = pair[1] } }

  security_group_id = aws_security_group.dns[0].id
  description       = "DNS to the domain's servers"
  cidr_ipv4         = "${each.value.ip}/32"
  ip_protocol       = each.value.protocol
  from_port         = 53
  to_port           = 53

  tags = { Name = "${var.name}-domain-dns-${each.key}" }
}

resource "aws_route53_resolver_endpoint" "dns" {
  count = var.forward_dns ? 1 : 0

  name               = "${var.name}-domain"
  direction          = "OUTBOUND"
  security_group_ids = [aws_security_group.dns[0].id]

  # Route 53 asks for two.
  dynamic "ip_address" {
    for_each = slice(sort(keys(var.private_subnet_ids)), 0, 2)

    content {
      subnet_id = var.private_subnet_ids[ip_address.value]
    }
  }

  tags = { Name = "${var.name}-domain" }
}

resource "aws_route53_resolver_rule" "dns" {
  count = var.forward_dns ? 1 : 0

  name                 = "${var.name}-domain"
  domain_name          = local.domain
  rule_type            = "FORWARD"
  resolver_endpoint_id = aws_route53_resolver_endpoint.dns[0].id

  dynamic "target_ip" {
    for_each = local.dns_ips

    content {
      ip = target_ip.value
    }
  }

  tags = { Name = "${var.name}-domain" }
}

resource "aws_route53_resolver_rule_association" "dns" {
  count = var.forward_dns ? 1 : 0

  name             = "${var.name}-domain"
  resolver_rule_id = aws_route53_resolver_rule.dns[0].id
  vpc_id           = var.vpc_id
}

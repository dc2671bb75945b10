# The instances mount the share for their containers; nobody else reaches it, and it reaches its domain controllers only.

locals {
  # What a member of a domain needs of its controllers.
  directory_ports = {
    dns-tcp        = { protocol = "tcp", from = 53, to = 53 }
    dns-udp        = { protocol = "udp", from = 53, to = 53 }
    kerberos-tcp   = { protocol = "tcp", from = 88, to = 88 }
    kerberos-udp   = { protocol = "udp", from = 88, to = 88 }
    time           = { protocol = "udp", from = 123, to = 123 }
    rpc            = { protocol = "tcp", from = 135, to = 135 }
    ldap-tcp       = { protocol = "tcp", from = 389, to = 389 }
    ldap-udp       = { protocol = "udp", from = 389, to = 389 }
    smb            = { protocol = "tcp", from = 445, to = 445 }
    password-tcp   = { protocol = "tcp", from = 464, to = 464 }
    password-udp   = { protocol = "udp", from = 464, to = 464 }
    ldaps          = { protocol = "tcp", from = 636, to = 636 }
    global-catalog = { protocol = "tcp", from = 3268, to = 3269 }
    web-services   = { protocol = "tcp", from = 9389, to = 9389 }
    rpc-dynamic    = { protocol = "tcp", from = 49152, to = 65535 }
  }
  controllers = distinct(concat([for ip in local.dns_ips : "${ip}/32"], try(local.self_managed.controller_cidrs, [])))

  directory_rules = merge([
    for cidr in local.controllers : { for service, ports in local.directory_ports : "${service}-${cidr}" => merge(ports, { cidr = cidr, service = service }) }
  ]...)
}

resource "aws_security_group" "file_system" {
  #checkov:skip=CKV2_AWS_5: until 2027-05-31: the file system in the CloudFormation stack has it
  name        = "${var.name}-shared-storage"
  description = "Shared storage: SMB from the container instances"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-shared-storage" }
}

resource "aws_vpc_security_group_ingress_rule" "smb" {
  security_group_id            = aws_security_group.file_system.id
  description                  = "SMB from the container instances"
  referenced_security_group_id = var.instance_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 445
  to_port                      = 445

  tags = { Name = "${var.name}-shared-storage-smb" }
}

resource "aws_vpc_security_group_egress_rule" "directory" {
  for_each = local.directory_rules

  security_group_id = aws_security_group.file_system.id
  description       = "Domain controllers: ${each.value.service}"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = each.value.protocol
  from_port         = each.value.from
  to_port           = each.value.to

  tags = { Name = "${var.name}-shared-storage-${each.value.service}" }
}

resource "aws_vpc_security_group_egress_rule" "instances_smb" {
  security_group_id            = var.instance_security_group_id
  description                  = "SMB to the shared storage"
  referenced_security_group_id = aws_security_group.file_system.id
  ip_protocol                  = "tcp"
  from_port                    = 445
  to_port                      = 445

  tags = { Name = "${var.name}-instances-shared-storage" }
}

output "domain" {
  description = "The full name of the Active Directory's domain."
  value       = local.domain
}

output "file_system_id" {
  description = "The file system. Whoever mounts it finds the way to it open and its name resolved."
  value       = aws_cloudformation_stack.file_system.outputs["FileSystemId"]

  depends_on = [
    aws_route53_resolver_rule_association.dns,
    aws_vpc_security_group_egress_rule.dns,
    aws_vpc_security_group_egress_rule.instances_smb,
    aws_vpc_security_group_ingress_rule.smb,
  ]
}

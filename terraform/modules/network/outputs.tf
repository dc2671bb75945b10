output "https_destinations" {
  description = "Where a security group must let HTTPS out to, by name; each has one of `cidr_ipv4`, `prefix_list_id`, `security_group_id`."
  value = merge(
    { s3 = { cidr_ipv4 = null, prefix_list_id = aws_vpc_endpoint.s3.prefix_list_id, security_group_id = null } },
    var.egress == "endpoints" ? { endpoints = { cidr_ipv4 = null, prefix_list_id = null, security_group_id = aws_security_group.endpoints.id } } : {},
    var.egress == "nat" ? { internet = { cidr_ipv4 = "0.0.0.0/0", prefix_list_id = null, security_group_id = null } } : {},
  )
}

output "log_group" {
  description = "The flow logs' log group."
  value       = aws_cloudwatch_log_group.flow.name
}

output "private_subnet_ids" {
  description = "The private subnets by zone letter. Whoever uses them finds their way out open."
  value       = { for zone, subnet in aws_subnet.private : zone => subnet.id }

  # MWAA and the instances fail to start without these, and neither names them.
  depends_on = [
    aws_route_table_association.private,
    aws_route.nat,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_ingress_rule.endpoints_https,
  ]
}

output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.vpc.id
}

output "https_destinations" {
  description = "Where a security group must let HTTPS out to, by name; each has one of `cidr_ipv4`, `prefix_list_id`, `security_group_id`."
  value = merge(
    { for endpoint in aws_vpc_endpoint.s3 : "s3" => { cidr_ipv4 = null, prefix_list_id = endpoint.prefix_list_id, security_group_id = null } },
    { for group in aws_security_group.endpoints : "endpoints" => { cidr_ipv4 = null, prefix_list_id = null, security_group_id = group.id } },
    var.egress == "endpoints" ? {} : { internet = { cidr_ipv4 = "0.0.0.0/0", prefix_list_id = null, security_group_id = null } },
  )
}

output "log_groups" {
  description = "The flow logs' log group; none for an existing VPC."
  value       = [for group in aws_cloudwatch_log_group.flow : group.name]
}

output "private_subnet_ids" {
  description = "The private subnets by zone letter. Whoever uses them finds their way out open."
  value       = { for zone, subnet in local.private_subnets : zone => subnet.id }

  # MWAA and the instances fail to start without these, and neither names them.
  depends_on = [
    aws_route_table_association.private,
    aws_route.internet,
    aws_route.nat,
    aws_vpc_endpoint.interface,
    aws_vpc_endpoint.s3,
    aws_vpc_security_group_ingress_rule.endpoints_https,
  ]
}

output "vpc_id" {
  description = "The VPC."
  value       = local.vpc_id
}

locals {
  # Numbered by their place in the variable, so that a zone added at the end moves no other.
  zones = { for index, letter in var.zones : letter => { index = index, name = "${var.region}${letter}" } }
}

resource "aws_vpc" "vpc" {
  cidr_block           = var.vpc_cidr
  enable_dns_hostnames = true
  enable_dns_support   = true

  tags = { Name = var.name }
}

# The group that everything without a group of its own falls into: it lets nothing through.
resource "aws_default_security_group" "none" {
  vpc_id = aws_vpc.vpc.id

  tags = { Name = "${var.name}-default-unused" }
}

resource "aws_subnet" "private" {
  for_each = local.zones

  vpc_id            = aws_vpc.vpc.id
  availability_zone = each.value.name
  cidr_block        = cidrsubnet(var.vpc_cidr, 4, each.value.index)

  tags = { Name = "${var.name}-private-${each.key}" }
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.vpc.id

  tags = { Name = "${var.name}-private" }
}

resource "aws_route_table_association" "private" {
  for_each = aws_subnet.private

  route_table_id = aws_route_table.private.id
  subnet_id      = each.value.id
}

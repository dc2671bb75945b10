# The other way out: a NAT gateway, or one a zone, each in a public subnet that holds nothing else.

locals {
  nat_zones = { nat = slice(var.zones, 0, 1), nat_per_zone = var.zones }
  nat       = { for letter in lookup(local.nat_zones, var.egress, []) : letter => local.zones[letter] }
}

resource "aws_internet_gateway" "internet" {
  count = length(local.nat) > 0 ? 1 : 0

  vpc_id = aws_vpc.vpc[0].id

  tags = { Name = var.name }
}

resource "aws_subnet" "public" {
  for_each = local.nat

  vpc_id            = aws_vpc.vpc[0].id
  availability_zone = each.value.name
  # The private subnets fill the range from below, these from above.
  cidr_block = cidrsubnet(var.vpc_cidr, 8, 255 - each.value.index)

  tags = { Name = "${var.name}-public-${each.key}" }
}

resource "aws_route_table" "public" {
  count = length(local.nat) > 0 ? 1 : 0

  vpc_id = aws_vpc.vpc[0].id

  tags = { Name = "${var.name}-public" }
}

resource "aws_route_table_association" "public" {
  for_each = local.nat

  route_table_id = aws_route_table.public[0].id
  subnet_id      = aws_subnet.public[each.key].id
}

resource "aws_route" "internet" {
  #checkov:skip=CKV2_AWS_35: until 2027-05-31: the route of the NAT gateways' own subnets, which hold no host
  count = length(local.nat) > 0 ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.internet[0].id
}

resource "aws_eip" "nat" {
  for_each = local.nat

  domain = "vpc"

  tags = { Name = "${var.name}-nat-${each.key}" }
}

resource "aws_nat_gateway" "nat" {
  for_each = local.nat

  allocation_id = aws_eip.nat[each.key].id
  subnet_id     = aws_subnet.public[each.key].id

  tags = { Name = "${var.name}-${each.key}" }

  depends_on = [aws_internet_gateway.internet]
}

resource "aws_route" "nat" {
  #checkov:skip=CKV2_AWS_35: until 2027-05-31: it goes to a NAT gateway, whose id a plan does not know yet
  for_each = length(local.nat) > 0 ? local.zones : {}

  route_table_id         = aws_route_table.private[each.key].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.nat[contains(keys(local.nat), each.key) ? each.key : var.zones[0]].id
}

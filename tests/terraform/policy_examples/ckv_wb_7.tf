resource "aws_vpc_security_group_ingress_rule" "good_https" {
  security_group_id = aws_security_group.good_closed.id
  cidr_ipv4         = "10.0.0.0/16"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_ingress_rule" "good_own_group" {
  security_group_id            = aws_security_group.good_closed.id
  referenced_security_group_id = aws_security_group.good_closed.id
  ip_protocol                  = "-1"
}

resource "aws_security_group" "good_closed" {
  name = "x"
}

resource "aws_vpc_security_group_ingress_rule" "bad_rdp" {
  security_group_id = aws_security_group.good_closed.id
  cidr_ipv4         = "10.0.0.0/16"
  ip_protocol       = "tcp"
  from_port         = 3389
  to_port           = 3389
}

resource "aws_vpc_security_group_ingress_rule" "bad_everything" {
  security_group_id = aws_security_group.good_closed.id
  cidr_ipv4         = "10.0.0.0/16"
  ip_protocol       = "-1"
}

resource "aws_security_group_rule" "bad_range" {
  type              = "ingress"
  security_group_id = aws_security_group.good_closed.id
  cidr_blocks       = ["10.0.0.0/16"]
  protocol          = "tcp"
  from_port         = 5000
  to_port           = 6000
}

resource "aws_security_group" "bad_ssh" {
  name = "x"

  ingress {
    cidr_blocks = ["10.0.0.0/16"]
    protocol    = "tcp"
    from_port   = 22
    to_port     = 22
  }
}

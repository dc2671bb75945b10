resource "aws_subnet" "good_private" {
  cidr_block = "10.0.0.0/24"
}

resource "aws_launch_template" "good_interface" {
  network_interfaces {
    associate_public_ip_address = false
  }
}

resource "aws_subnet" "bad_public" {
  cidr_block              = "10.0.0.0/24"
  map_public_ip_on_launch = true
}

resource "aws_launch_template" "bad_interface" {
  network_interfaces {
    associate_public_ip_address = true
  }
}

resource "aws_instance" "bad_host" {
  associate_public_ip_address = true
}

resource "aws_eip_association" "bad_address" {
  instance_id = "i-1"
}

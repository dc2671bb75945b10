resource "aws_launch_template" "good_metadata" {
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }
}

resource "aws_launch_template" "bad_version_1" {
  metadata_options {
    http_tokens                 = "optional"
    http_put_response_hop_limit = 1
  }
}

resource "aws_launch_template" "bad_two_hops" {
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
}

resource "aws_launch_template" "bad_default" {
  name = "x"
}

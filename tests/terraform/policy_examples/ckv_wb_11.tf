resource "aws_autoscaling_group" "good_empty" {
  min_size = 0
  max_size = 3
}

resource "aws_autoscaling_group" "bad_one" {
  min_size = 1
  max_size = 3
}

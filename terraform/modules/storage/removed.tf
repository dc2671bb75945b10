# The key has its policy itself. Taken away, the resource of its own would put the default policy in its place.
removed {
  from = aws_kms_key_policy.key

  lifecycle {
    destroy = false
  }
}

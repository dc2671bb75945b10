output "backend" {
  description = "Where the state lies: `bucket`, `key`, `region`, and the key that encrypts it."
  value = {
    bucket      = aws_s3_bucket.state.id
    key         = var.state_key
    kms_key_arn = aws_kms_key.state.arn
    region      = var.region
  }
}

output "github" {
  description = "The pipeline: its `repository`, the `roles` for GitHub's variables, and the `permissions_boundary` for the environment's values; null without one."
  value = var.github == null ? null : {
    permissions_boundary = trimprefix("${local.path}${aws_iam_policy.deployment["boundary"].name}", "/")
    repository           = var.github.repository
    roles                = { for purpose, role in aws_iam_role.deployment : purpose => role.arn }
  }
}

output "pipeline" {
  description = "What the pipeline works by: its `roles`, and the `permissions_boundary` for the environment's values; null without any."
  value = length(local.roles) == 0 ? null : {
    permissions_boundary = trimprefix("${local.path}${aws_iam_policy.deployment["boundary"].name}", "/")
    roles                = { for purpose, role in aws_iam_role.deployment : purpose => role.arn }
  }
}

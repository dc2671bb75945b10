output "buckets" {
  description = "The buckets by purpose (`dags`, `data`, `logs`): `name` and `arn`. Whoever uses them finds them closed, encrypted and versioned."
  value       = { for purpose, bucket in aws_s3_bucket.bucket : purpose => { arn = bucket.arn, name = bucket.id } }

  # MWAA refuses a bucket that is not closed to the public or not versioned. The life cycle is left out on purpose.
  depends_on = [
    aws_s3_bucket_ownership_controls.bucket,
    aws_s3_bucket_policy.bucket,
    aws_s3_bucket_public_access_block.bucket,
    aws_s3_bucket_server_side_encryption_configuration.bucket,
    aws_s3_bucket_versioning.bucket,
  ]
}

output "kms_key_arn" {
  description = "The key of everything that the environment stores. Whoever uses it finds its policy in place."
  value       = aws_kms_key.key.arn
}

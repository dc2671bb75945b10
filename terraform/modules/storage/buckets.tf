locals {
  # `logs` takes what S3 tells about the other two.
  buckets = toset(["dags", "data", "logs"])
  logged  = toset(["dags", "data"])
  # Where objects stay in spite of whoever asks for their end. Terraform itself deletes versions of its objects in `dags`.
  kept = var.force_destroy ? toset([]) : toset(["data", "logs"])
}

resource "aws_s3_bucket" "bucket" {
  #checkov:skip=CKV_AWS_18: until 2027-05-31: `logs` is where the access logs go; its own log would fill it without end
  #checkov:skip=CKV_AWS_144: until 2027-05-31: DAGs come from git and results can be computed again bit by bit; a second region would hold neither better
  #checkov:skip=CKV_AWS_145: until 2027-05-31: S3 delivers access logs under its own keys only; the native test says that the other two have ours
  #checkov:skip=CKV2_AWS_62: until 2027-05-31: nothing waits for objects: engine and workers look for them
  for_each = local.buckets

  bucket        = "${var.name}-${local.account_id}-${var.region}-${each.value}"
  force_destroy = var.force_destroy

  # A destroy that stops at a bucket that still holds something must not have taken its key before.
  depends_on = [aws_kms_key.key]
}

resource "aws_s3_bucket_public_access_block" "bucket" {
  for_each = local.buckets

  bucket                  = aws_s3_bucket.bucket[each.key].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "bucket" {
  for_each = local.buckets

  bucket = aws_s3_bucket.bucket[each.key].id

  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "bucket" {
  for_each = local.buckets

  bucket = aws_s3_bucket.bucket[each.key].id

  rule {
    # One call to KMS a bucket and hour instead of one an object.
    bucket_key_enabled = each.key != "logs"

    # S3 delivers access logs into buckets with keys of its own only.
    apply_server_side_encryption_by_default {
      kms_master_key_id = each.key == "logs" ? null : aws_kms_key.key.arn
      sse_algorithm     = each.key == "logs" ? "AES256" : "aws:kms"
    }
  }
}

resource "aws_s3_bucket_versioning" "bucket" {
  for_each = local.buckets

  bucket = aws_s3_bucket.bucket[each.key].id

  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_logging" "bucket" {
  for_each = local.logged

  bucket        = aws_s3_bucket.bucket[each.key].id
  target_bucket = aws_s3_bucket.bucket["logs"].id
  target_prefix = "${each.key}/"

  # S3 refuses until it may write there.
  depends_on = [aws_s3_bucket_policy.bucket]
}

# Nothing may depend on these: the provider reads each back for most of a minute before it calls it made.
resource "aws_s3_bucket_lifecycle_configuration" "bucket" {
  for_each = local.buckets

  bucket = aws_s3_bucket.bucket[each.key].id

  rule {
    id     = "old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.old_version_days
    }

    # By an age, and S3 clears what marks the deleted ones too.
    expiration {
      days                         = each.key == "logs" ? var.access_log_days : null
      expired_object_delete_marker = each.key == "logs" ? null : true
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
  }

  dynamic "rule" {
    for_each = each.key == "data" && var.job_retention_days != null ? var.data_prefixes : []

    content {
      id     = "jobs-${replace(rule.value, "/", "-")}"
      status = "Enabled"

      filter {
        prefix = "${rule.value}/"
      }

      expiration {
        days = var.job_retention_days
      }
    }
  }
}

# Who may do what in the buckets: nobody without TLS, nobody of another account, nobody under another kind of key, and nobody what ends what
# must be kept.

data "aws_iam_policy_document" "bucket" {
  for_each = local.buckets

  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.bucket[each.key].arn, "${aws_s3_bucket.bucket[each.key].arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  # AWS's services act in their own name, and say for whom (below).
  statement {
    sid       = "OnlyThisAccount"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.bucket[each.key].arn, "${aws_s3_bucket.bucket[each.key].arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "StringNotEquals"
      variable = "aws:PrincipalAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "BoolIfExists"
      variable = "aws:PrincipalIsAWSService"
      values   = ["false"]
    }
  }

  # The bucket's own key is what objects get that ask for nothing. A key that the writer brings along needs no right to any key: who steals a role
  # could lock everything up with it.
  dynamic "statement" {
    for_each = {
      for sid, header in {
        NoOtherEncryption = { key = "s3:x-amz-server-side-encryption", right = "aws:kms" }
        NoKeyOfTheWriters = { key = "s3:x-amz-server-side-encryption-customer-algorithm", right = null }
      } : sid => header if contains(local.logged, each.key)
    }

    content {
      sid       = statement.key
      effect    = "Deny"
      actions   = ["s3:PutObject"]
      resources = ["${aws_s3_bucket.bucket[each.key].arn}/*"]

      principals {
        type        = "*"
        identifiers = ["*"]
      }

      condition {
        test     = "Null"
        variable = statement.value.key
        values   = ["false"]
      }

      dynamic "condition" {
        for_each = compact([statement.value.right])

        content {
          test     = "StringNotEquals"
          variable = statement.value.key
          values   = [condition.value]
        }
      }
    }
  }

  dynamic "statement" {
    for_each = var.force_destroy ? [] : [aws_s3_bucket.bucket[each.key].arn]

    content {
      sid       = "KeepBucket"
      effect    = "Deny"
      actions   = ["s3:DeleteBucket"]
      resources = [statement.value]

      principals {
        type        = "*"
        identifiers = ["*"]
      }
    }
  }

  # What is overwritten or deleted can be had back until the life cycle, which no policy binds, ends it.
  dynamic "statement" {
    for_each = contains(local.kept, each.key) ? [aws_s3_bucket.bucket[each.key].arn] : []

    content {
      sid       = "KeepVersions"
      effect    = "Deny"
      actions   = ["s3:DeleteObjectVersion"]
      resources = ["${statement.value}/*"]

      principals {
        type        = "*"
        identifiers = ["*"]
      }
    }
  }

  dynamic "statement" {
    for_each = each.key == "logs" ? [aws_s3_bucket.bucket["logs"].arn] : []

    content {
      sid       = "TakeAccessLogs"
      actions   = ["s3:PutObject"]
      resources = [for purpose in local.logged : "${statement.value}/${purpose}/*"]

      principals {
        type        = "Service"
        identifiers = ["logging.s3.amazonaws.com"]
      }

      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [for purpose in local.logged : aws_s3_bucket.bucket[purpose].arn]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.account_id]
      }
    }
  }
}

resource "aws_s3_bucket_policy" "bucket" {
  for_each = local.buckets

  bucket = aws_s3_bucket.bucket[each.key].id
  policy = data.aws_iam_policy_document.bucket[each.key].json

  # Both change who may write the policy; at the same time they collide.
  depends_on = [aws_s3_bucket_public_access_block.bucket]
}

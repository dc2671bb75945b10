# The environment's state, and nothing of this root's own.

locals {
  # What scripts/terraform/state.py notes beside the state: the plan that was applied last, and that an apply has begun.
  notes = ["applied.json", "begun"]

  # KMS's encryption context of a saved plan, as scripts/terraform/saved_plan.py has it.
  sealed_plan = { environment = var.environment, purpose = "plan" }
}

data "aws_iam_policy_document" "lock" {
  statement {
    sid       = "FindState"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.state.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      # `terraform init` asks for workspaces, which we have none of.
      values = concat(["env:/", "${var.state_key}*"], local.notes)
    }
  }

  statement {
    sid       = "ReadState"
    actions   = ["s3:GetObject"]
    resources = [for key in concat([var.state_key], local.notes) : "${aws_s3_bucket.state.arn}/${key}"]
  }

  # Who plans seals a plan, and only who applies opens it (docs/decisions/0187).
  statement {
    sid       = "SealPlan"
    actions   = ["kms:GenerateDataKey"]
    resources = [aws_kms_key.state.arn]

    dynamic "condition" {
      for_each = local.sealed_plan

      content {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:${condition.key}"
        values   = [condition.value]
      }
    }
  }

  statement {
    sid       = "LockState"
    actions   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
    resources = ["${aws_s3_bucket.state.arn}/${var.state_key}.tflock"]
  }

  statement {
    sid       = "UseStateKey"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [aws_kms_key.state.arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.${local.dns_suffix}"]
    }
  }
}

data "aws_iam_policy_document" "state" {
  source_policy_documents = [data.aws_iam_policy_document.lock.json]

  statement {
    sid       = "WriteState"
    actions   = ["s3:PutObject"]
    resources = [for key in concat([var.state_key], local.notes) : "${aws_s3_bucket.state.arn}/${key}"]
  }

  statement {
    sid       = "NoteEndOfApply"
    actions   = ["s3:DeleteObject"]
    resources = ["${aws_s3_bucket.state.arn}/begun"]
  }

  statement {
    sid       = "OpenPlan"
    actions   = ["kms:Decrypt"]
    resources = [aws_kms_key.state.arn]

    dynamic "condition" {
      for_each = local.sealed_plan

      content {
        test     = "StringEquals"
        variable = "kms:EncryptionContext:${condition.key}"
        values   = [condition.value]
      }
    }
  }
}

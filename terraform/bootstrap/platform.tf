# Buckets, the key, logs and alarms, each by the environment's name where the service has names.

data "aws_iam_policy_document" "platform" {
  statement {
    sid = "Buckets"
    actions = [
      "s3:CreateBucket",
      "s3:DeleteBucket",
      "s3:DeleteBucketPolicy",
      "s3:PutBucketLogging",
      "s3:PutBucketOwnershipControls",
      "s3:PutBucketPolicy",
      "s3:PutBucketPublicAccessBlock",
      "s3:PutBucketTagging",
      "s3:PutBucketVersioning",
      "s3:PutEncryptionConfiguration",
      "s3:PutLifecycleConfiguration",
    ]
    resources = ["${local.buckets}-*"]
  }

  # DAG releases and the objects beside them; a job's results for the smoke check; everything when the environment is taken down.
  statement {
    sid = "Objects"
    actions = [
      "s3:DeleteObject",
      "s3:DeleteObjectVersion",
      "s3:GetObject",
      "s3:GetObjectTagging",
      "s3:GetObjectVersion",
      "s3:ListBucketVersions",
      "s3:PutObject",
      "s3:PutObjectTagging",
    ]
    resources = ["${local.buckets}-*"]
  }

  statement {
    sid       = "MakeKey"
    actions   = ["kms:CreateKey", "kms:TagResource"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/environment"
      values   = [var.environment]
    }
  }

  # What is done with the key itself, its own policy allows (modules/storage): what a fresh key's tags and alias allow may hold minutes later only.
  # The state key's alias ends in -tfstate.
  statement {
    sid       = "NameKey"
    actions   = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"]
    resources = ["${local.arn.kms}:alias/${local.name}"]
  }

  # CloudWatch Logs hands a group's key on, and Session Manager's groups are not ours.
  statement {
    sid = "Logs"
    actions = [
      "logs:AssociateKmsKey",
      "logs:CreateLogGroup",
      "logs:DeleteLogGroup",
      "logs:DeleteRetentionPolicy",
      "logs:FilterLogEvents",
      "logs:GetLogEvents",
      "logs:PutRetentionPolicy",
      "logs:TagResource",
      "logs:UntagResource",
    ]
    resources = [for group in [
      "/aws/ecs/containerinsights/${local.name}/*", "/aws/imagebuilder/${local.name}-*", "/winbatch/${var.environment}/*", "airflow-${local.name}-*",
    ] : "${local.arn.logs}:log-group:${group}"]
  }

  statement {
    sid = "Alarms"
    actions = [
      "cloudwatch:DeleteAlarms",
      "cloudwatch:DeleteDashboards",
      "cloudwatch:PutDashboard",
      "cloudwatch:PutMetricAlarm",
      "cloudwatch:TagResource",
      "cloudwatch:UntagResource",
    ]
    resources = ["${local.arn.cloudwatch}:alarm:${local.name}-*", "arn:${local.partition}:cloudwatch::${local.account_id}:dashboard/${local.name}"]
  }

  statement {
    sid       = "Topics"
    actions   = ["sns:*"]
    resources = ["${local.arn.sns}:${local.name}-*"]
  }

  # SNS knows a subscription as no resource.
  statement {
    sid       = "Subscriptions"
    actions   = ["sns:SetSubscriptionAttributes", "sns:Unsubscribe"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }

  statement {
    sid       = "Budget"
    actions   = ["budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource"]
    resources = ["arn:${local.partition}:budgets::${local.account_id}:budget/${local.name}"]
  }
}

# Everything but network and roles, each by the environment's name where the service has names.

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

  statement {
    sid = "KeepKey"
    actions = [
      "kms:CreateAlias",
      "kms:CreateGrant",
      "kms:Decrypt",
      "kms:DeleteAlias",
      "kms:DescribeKey",
      "kms:EnableKeyRotation",
      "kms:GenerateDataKey*",
      "kms:PutKeyPolicy",
      "kms:ScheduleKeyDeletion",
      "kms:UpdateKeyDescription",
    ]
    resources = ["${local.arn.kms}:key/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/environment"
      values   = [var.environment]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/root"
      values   = ["winbatch"]
    }
  }

  # The state key's alias ends in -tfstate.
  statement {
    sid       = "NameKey"
    actions   = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"]
    resources = ["${local.arn.kms}:alias/${local.name}"]
  }

  statement {
    sid       = "SignInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  statement {
    sid       = "Images"
    actions   = ["ecr:*"]
    resources = ["${local.arn.ecr}:repository/${local.name}/*"]
  }

  # A task definition's revisions are registered and deregistered without a resource.
  statement {
    sid       = "TaskDefinitions"
    actions   = ["ecs:DeregisterTaskDefinition", "ecs:RegisterTaskDefinition"]
    resources = ["*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestedRegion"
      values   = [var.region]
    }
  }

  statement {
    sid = "Cluster"
    actions = [
      "ecs:CreateCapacityProvider",
      "ecs:CreateCluster",
      "ecs:DeleteCapacityProvider",
      "ecs:DeleteCluster",
      "ecs:DeregisterContainerInstance",
      "ecs:DescribeContainerInstances",
      "ecs:DescribeTasks",
      "ecs:ListContainerInstances",
      "ecs:ListTasks",
      "ecs:PutClusterCapacityProviders",
      "ecs:StopTask",
      "ecs:TagResource",
      "ecs:UntagResource",
      "ecs:UpdateCapacityProvider",
      "ecs:UpdateCluster",
      "ecs:UpdateClusterSettings",
      "ecs:UpdateContainerInstancesState",
    ]
    resources = [
      "${local.arn.ecs}:capacity-provider/${local.name}",
      "${local.arn.ecs}:cluster/${local.name}",
      "${local.arn.ecs}:container-instance/${local.name}/*",
      "${local.arn.ecs}:task-definition/${local.name}-*",
      "${local.arn.ecs}:task/${local.name}/*",
    ]
  }

  statement {
    sid       = "Instances"
    actions   = ["autoscaling:*"]
    resources = ["${local.arn.autoscaling}:autoScalingGroup:*:autoScalingGroupName/${local.name}"]
  }

  statement {
    sid       = "Airflow"
    actions   = ["airflow:*"]
    resources = ["${local.arn.airflow}:environment/${local.name}", "${local.arn.airflow}:role/${local.name}/*"]
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

  # VPC flow logs.
  statement {
    sid       = "DeliverLogs"
    actions   = ["logs:CreateLogDelivery", "logs:DeleteLogDelivery"]
    resources = ["*"]
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

  statement {
    sid       = "Budget"
    actions   = ["budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource"]
    resources = ["arn:${local.partition}:budgets::${local.account_id}:budget/${local.name}"]
  }

  statement {
    sid       = "OwnImages"
    actions   = ["imagebuilder:*"]
    resources = ["${local.arn.imagebuilder}:*/${local.name}", "${local.arn.imagebuilder}:*/${local.name}-*"]
  }

  statement {
    sid       = "SharedStorageStack"
    actions   = ["cloudformation:CreateStack", "cloudformation:DeleteStack", "cloudformation:TagResource", "cloudformation:UpdateStack"]
    resources = ["${local.arn.cloudformation}:stack/${local.name}-*/*"]
  }

  # The resolver's rules are made before they have a name.
  statement {
    sid       = "ForwardDomain"
    actions   = ["route53resolver:*"]
    resources = ["${local.arn.route53resolver}:*"]
  }

  statement {
    sid       = "SharedStorage"
    actions   = ["fsx:*"]
    resources = ["${local.arn.fsx}:*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/environment"
      values   = [var.environment]
    }
  }

  statement {
    sid       = "MakeSharedStorage"
    actions   = ["fsx:CreateFileSystem", "fsx:TagResource"]
    resources = ["${local.arn.fsx}:*"]

    condition {
      test     = "StringEquals"
      variable = "aws:RequestTag/environment"
      values   = [var.environment]
    }
  }
}

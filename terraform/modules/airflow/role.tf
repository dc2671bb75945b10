locals {
  arn = {
    cluster     = "arn:${local.partition}:ecs:${var.region}:${local.account_id}:cluster/${var.workers.cluster}"
    environment = "arn:${local.partition}:airflow:${var.region}:${local.account_id}:environment/${var.name}"
    logs        = "arn:${local.partition}:logs:${var.region}:${local.account_id}:log-group"
    group       = "arn:${local.partition}:autoscaling:${var.region}:${local.account_id}:autoScalingGroup:*:autoScalingGroupName/${var.workers.auto_scaling_group}"
  }
}

data "aws_iam_policy_document" "trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [local.arn.environment]
    }
  }
}

resource "aws_iam_role" "airflow" {
  name               = "${var.name}-airflow"
  description        = "Airflow's components and the DAGs"
  assume_role_policy = data.aws_iam_policy_document.trust.json

  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "airflow" {
  name   = "run-airflow"
  role   = aws_iam_role.airflow.id
  policy = data.aws_iam_policy_document.airflow.json
}

# What MWAA's own components need.
data "aws_iam_policy_document" "components" {
  statement {
    sid       = "PublishHealth"
    actions   = ["airflow:PublishMetrics"]
    resources = [local.arn.environment]
  }

  # MWAA looks at the bucket's settings before it starts. Its guide asks for all of GetBucket*; these are the ones that concern it.
  statement {
    sid = "CheckDagBucket"
    actions = [
      "s3:GetBucketAcl",
      "s3:GetBucketLocation",
      "s3:GetBucketPolicy",
      "s3:GetBucketPolicyStatus",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketVersioning",
      "s3:GetEncryptionConfiguration",
      "s3:ListBucket",
      "s3:ListBucketVersions",
    ]
    resources = [var.buckets.dags.arn]
  }

  statement {
    sid       = "ReadDags"
    actions   = ["s3:GetObject", "s3:GetObjectVersion"]
    resources = ["${var.buckets.dags.arn}/*"]
  }

  # MWAA makes sure that the bucket is closed to the public.
  statement {
    sid       = "CheckPublicAccess"
    actions   = ["s3:GetAccountPublicAccessBlock"]
    resources = ["*"]
  }

  # Airflow's log handler makes the group before it writes, although it is there.
  statement {
    sid = "WriteAirflowLogs"
    actions = [
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:GetLogEvents",
      "logs:GetLogGroupFields",
      "logs:GetLogRecord",
      "logs:GetQueryResults",
      "logs:PutLogEvents",
    ]
    resources = ["${local.arn.logs}:airflow-${var.name}-*"]
  }

  statement {
    sid       = "FindLogGroups"
    actions   = ["logs:DescribeLogGroups"]
    resources = ["*"]
  }

  statement {
    sid       = "PutMetrics"
    actions   = ["cloudwatch:PutMetricData"]
    resources = ["*"]
  }

  # The queue lies in an account of the service, whose number nobody knows beforehand.
  statement {
    sid = "UseCeleryQueue"
    actions = [
      "sqs:ChangeMessageVisibility",
      "sqs:DeleteMessage",
      "sqs:GetQueueAttributes",
      "sqs:GetQueueUrl",
      "sqs:ReceiveMessage",
      "sqs:SendMessage",
    ]
    resources = ["arn:${local.partition}:sqs:${var.region}:*:airflow-celery-*"]
  }

  statement {
    sid       = "UseKey"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*"]
    resources = [var.kms_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = [for service in ["s3", "sqs"] : "${service}.${var.region}.${data.aws_partition.current.dns_suffix}"]
    }
  }
}

# What the DAGs do.
data "aws_iam_policy_document" "dags" {
  statement {
    sid       = "RunWorkers"
    actions   = ["ecs:RunTask"]
    resources = [for family in var.workers.families : "arn:${local.partition}:ecs:${var.region}:${local.account_id}:task-definition/${family}:*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.arn.cluster]
    }
  }

  statement {
    sid       = "TagWorkers"
    actions   = ["ecs:TagResource"]
    resources = ["arn:${local.partition}:ecs:${var.region}:${local.account_id}:task/${var.workers.cluster}/*"]

    condition {
      test     = "StringEquals"
      variable = "ecs:CreateAction"
      values   = ["RunTask"]
    }
  }

  statement {
    sid     = "WatchAndStopWorkers"
    actions = ["ecs:DescribeContainerInstances", "ecs:DescribeTasks", "ecs:StopTask", "ecs:UpdateContainerInstancesState"]
    resources = [
      "arn:${local.partition}:ecs:${var.region}:${local.account_id}:container-instance/${var.workers.cluster}/*",
      "arn:${local.partition}:ecs:${var.region}:${local.account_id}:task/${var.workers.cluster}/*",
    ]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.arn.cluster]
    }
  }

  # Lists by cluster, but has no ARN of the cluster to name.
  statement {
    sid       = "ListWorkers"
    actions   = ["ecs:ListTasks"]
    resources = ["*"]

    condition {
      test     = "ArnEquals"
      variable = "ecs:cluster"
      values   = [local.arn.cluster]
    }
  }

  statement {
    sid       = "ListInstances"
    actions   = ["ecs:ListContainerInstances"]
    resources = [local.arn.cluster]
  }

  statement {
    sid       = "PassRolesToWorkers"
    actions   = ["iam:PassRole"]
    resources = var.workers.role_arns

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  # An instance that is named goes, protected from scale-in or not.
  statement {
    sid       = "ScaleCluster"
    actions   = ["autoscaling:LaunchInstances", "autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup"]
    resources = [local.arn.group]
  }

  # LaunchInstances asks for these in its caller's name (Auto Scaling guide, "Launching instances with synchronous provisioning"). To
  # run instances by itself takes ec2:RunInstances, too.
  statement {
    sid       = "LaunchByFleet"
    actions   = ["ec2:CreateFleet"]
    resources = [for kind in ["fleet", "instance", "launch-template", "subnet"] : "arn:${local.partition}:ec2:${var.region}:${local.account_id}:${kind}/*"]
  }

  # Describe calls of Auto Scaling and of EC2 know no resources.
  statement {
    sid       = "WatchScaling"
    actions   = ["autoscaling:DescribeAutoScalingGroups", "autoscaling:DescribeScalingActivities", "ec2:DescribeLaunchTemplateVersions"]
    resources = ["*"]
  }

  statement {
    sid       = "ListJobs"
    actions   = ["s3:ListBucket"]
    resources = [var.buckets.data.arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [for prefix in var.data_prefixes : "${prefix}/*"]
    }
  }

  statement {
    sid       = "ReadAndWriteJobs"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = [for prefix in var.data_prefixes : "${var.buckets.data.arn}/${prefix}/*"]
  }

  statement {
    sid       = "WriteMetrics"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.arn.logs}:${var.metrics_log_group}:*"]
  }
}

data "aws_iam_policy_document" "airflow" {
  source_policy_documents = [data.aws_iam_policy_document.components.json, data.aws_iam_policy_document.dags.json]
}

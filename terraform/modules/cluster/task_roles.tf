# Two roles: `execution` is ECS's own while it starts a container, `task` is the worker's.

data "aws_iam_policy_document" "tasks_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    # ECS names the region's tasks here, not the cluster.
    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${local.partition}:ecs:${var.region}:${local.account_id}:*"]
    }
  }
}

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "LogInToRegistry"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = length(var.repository_arns) > 0 ? [1] : []

    content {
      sid       = "PullImages"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = var.repository_arns
    }
  }

  statement {
    sid       = "WriteContainerLogs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["arn:${local.partition}:logs:${var.region}:${local.account_id}:log-group:/winbatch/${local.environment}/*"]
  }

  # The agent asks with this role for who it is to be on the share, and for the share's name.
  dynamic "statement" {
    for_each = var.shared_storage[*]

    content {
      sid       = "ReadShareCredentials"
      actions   = [strcontains(statement.value.credentials_arn, ":ssm:") ? "ssm:GetParameters" : "secretsmanager:GetSecretValue"]
      resources = [statement.value.credentials_arn]
    }
  }

  dynamic "statement" {
    for_each = compact(var.shared_storage[*].credentials_kms_key_arn)

    content {
      sid       = "DecryptShareCredentials"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = [for service in ["secretsmanager", "ssm"] : "${service}.${var.region}.${data.aws_partition.current.dns_suffix}"]
      }
    }
  }

  dynamic "statement" {
    for_each = var.shared_storage[*]

    content {
      # The action knows no resources.
      sid       = "FindShare"
      actions   = ["fsx:DescribeFileSystems"]
      resources = ["*"]
    }
  }
}

resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  description        = "ECS pulls images and writes container logs"
  assume_role_policy = data.aws_iam_policy_document.tasks_trust.json

  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "execution" {
  name   = "start-containers"
  role   = aws_iam_role.execution.id
  policy = data.aws_iam_policy_document.execution.json
}

data "aws_iam_policy_document" "task" {
  statement {
    sid       = "ListJobs"
    actions   = ["s3:ListBucket"]
    resources = [var.data.bucket_arn]

    condition {
      test     = "StringLike"
      variable = "s3:prefix"
      values   = [for prefix in var.data.prefixes : "${prefix}/*"]
    }
  }

  statement {
    sid       = "ReadManifestsWriteResults"
    actions   = ["s3:GetObject", "s3:PutObject"]
    resources = [for prefix in var.data.prefixes : "${var.data.bucket_arn}/${prefix}/*"]
  }

  statement {
    sid       = "UseKeyForObjects"
    actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
    resources = [var.kms_key_arn]

    condition {
      test     = "StringEquals"
      variable = "kms:ViaService"
      values   = ["s3.${var.region}.${data.aws_partition.current.dns_suffix}"]
    }
  }
}

resource "aws_iam_role" "task" {
  name               = "${var.name}-task"
  description        = "Workers read manifests and write results"
  assume_role_policy = data.aws_iam_policy_document.tasks_trust.json

  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "task" {
  name   = "work-on-jobs"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

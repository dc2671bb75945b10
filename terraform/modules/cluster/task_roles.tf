# `execution` is ECS's own role while it starts a container; the worker in it has its workload's.

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

locals {
  # Where a DAG's objects lie, and no other DAG's; winbatch.keys.own_places says the same to who plans a job.
  places = {
    for dag in distinct(flatten(values(var.workloads)[*].dags)) : dag => flatten([
      for prefix in var.data.prefixes : concat(["${prefix}/${dag}/*"], [
        for folder in prefix == "jobs" ? ["results"] : ["aggregate_results", "task_results"] : "${prefix}/${folder}/${dag}/*"
      ])
    ])
  }

  # What each workload works on: all of the jobs of its DAGs, of which other workloads may run other stages, and what it may read beside them.
  jobs   = { for workload, size in var.workloads : workload => flatten([for dag in size.dags : local.places[dag]]) }
  inputs = { for workload, size in var.workloads : workload => [for prefix in size.inputs : "${prefix}/*"] }
}

data "aws_iam_policy_document" "workload" {
  for_each = var.workloads

  dynamic "statement" {
    for_each = length(concat(local.jobs[each.key], local.inputs[each.key])) > 0 ? [1] : []

    content {
      sid       = "ListOwnJobs"
      actions   = ["s3:ListBucket"]
      resources = [var.data.bucket_arn]

      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = concat(local.jobs[each.key], local.inputs[each.key])
      }
    }
  }

  dynamic "statement" {
    for_each = length(local.jobs[each.key]) > 0 ? [1] : []

    content {
      sid       = "WorkOnOwnJobs"
      actions   = ["s3:GetObject", "s3:PutObject"]
      resources = [for place in local.jobs[each.key] : "${var.data.bucket_arn}/${place}"]
    }
  }

  dynamic "statement" {
    for_each = length(local.inputs[each.key]) > 0 ? [1] : []

    content {
      sid       = "ReadInputs"
      actions   = ["s3:GetObject"]
      resources = [for place in local.inputs[each.key] : "${var.data.bucket_arn}/${place}"]
    }
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

resource "aws_iam_role" "workload" {
  for_each = var.workloads

  name               = "${var.name}-task-${each.key}"
  description        = "Workers of ${each.key} work on its own jobs"
  assume_role_policy = data.aws_iam_policy_document.tasks_trust.json

  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "workload" {
  for_each = var.workloads

  name   = "work-on-own-jobs"
  role   = aws_iam_role.workload[each.key].id
  policy = data.aws_iam_policy_document.workload[each.key].json

  lifecycle {
    precondition {
      # IAM counts no white space.
      condition     = length(jsonencode(jsondecode(data.aws_iam_policy_document.workload[each.key].json))) <= 10240
      error_message = "Workload ${each.key} runs stages of ${length(each.value.dags)} DAGs, and IAM takes no role policy above 10,240 characters: give some of those DAGs a workload of another name."
    }
  }
}

# Of workers from before each workload had a role: they run until their job ends, and task definitions of earlier releases name it.
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
  description        = "Workers of releases that know no role of their workload"
  assume_role_policy = data.aws_iam_policy_document.tasks_trust.json

  permissions_boundary = var.permissions_boundary_arn
}

resource "aws_iam_role_policy" "task" {
  name   = "work-on-jobs"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

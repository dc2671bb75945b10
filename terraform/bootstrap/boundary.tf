# What every role of the environment may do at most, whoever wrote its policy. It allows nothing by itself: a role has what its own policy
# and this one both allow. So whoever may write roles within it cannot gain more than this.

data "aws_iam_policy_document" "boundary" {
  #checkov:skip=CKV_WB_3: until 2027-05-31: this is a bound; the roles within it name the roles that they pass on
  # Calls that know no resources, by service: looking, and signing in to registries and Session Manager.
  statement {
    sid = "Look"
    actions = [
      "autoscaling:Describe*",
      "cloudwatch:PutMetricData",
      "ec2:Describe*",
      "ecr:GetAuthorizationToken",
      "ec2messages:*",
      "ecs:DiscoverPollEndpoint",
      "ecs:ListTasks",
      "fsx:DescribeFileSystems",
      "logs:Describe*",
      "s3:GetAccountPublicAccessBlock",
      "s3:GetEncryptionConfiguration",
      "ssm:UpdateInstanceInformation",
      "ssmmessages:*",
    ]
    resources = ["*"]
  }

  statement {
    sid = "Objects"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:GetBucketAcl",
      "s3:GetBucketLocation",
      "s3:GetBucketPolicy",
      "s3:GetBucketPolicyStatus",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketVersioning",
      "s3:GetObject",
      "s3:GetObjectVersion",
      "s3:ListBucket",
      "s3:ListBucketVersions",
      "s3:PutObject",
    ]
    resources = ["${local.buckets}-*"]
  }

  # The environment's key, by its alias: nobody knows its id beforehand.
  statement {
    sid       = "Key"
    actions   = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*"]
    resources = ["${local.arn.kms}:key/*"]

    condition {
      test     = "ForAnyValue:StringEquals"
      variable = "kms:ResourceAliases"
      values   = ["alias/${local.name}"]
    }
  }

  statement {
    sid = "Cluster"
    actions = [
      "ecs:DeregisterContainerInstance",
      "ecs:DescribeClusters",
      "ecs:DescribeContainerInstances",
      "ecs:DescribeTasks",
      "ecs:ListContainerInstances",
      "ecs:Poll",
      "ecs:RegisterContainerInstance",
      "ecs:RunTask",
      "ecs:StartTelemetrySession",
      "ecs:StopTask",
      "ecs:SubmitAttachmentStateChanges",
      "ecs:SubmitContainerStateChange",
      "ecs:SubmitTaskStateChange",
      "ecs:TagResource",
      "ecs:UpdateContainerInstancesState",
    ]
    resources = [
      "${local.arn.ecs}:cluster/${local.name}",
      "${local.arn.ecs}:container-instance/${local.name}/*",
      "${local.arn.ecs}:task-definition/${local.name}-*",
      "${local.arn.ecs}:task/${local.name}/*",
    ]
  }

  statement {
    sid = "Instances"
    actions = [
      "autoscaling:CompleteLifecycleAction",
      "autoscaling:LaunchInstances",
      "autoscaling:SetDesiredCapacity",
      "autoscaling:SetInstanceHealth",
      "autoscaling:SetInstanceProtection",
      "autoscaling:TerminateInstanceInAutoScalingGroup",
    ]
    resources = ["${local.arn.autoscaling}:autoScalingGroup:*:autoScalingGroupName/${local.name}"]
  }

  # What LaunchInstances asks for beside that; running instances by itself takes ec2:RunInstances, which no role has.
  statement {
    sid       = "LaunchByFleet"
    actions   = ["ec2:CreateFleet"]
    resources = [for kind in ["fleet", "instance", "launch-template", "subnet"] : "${local.arn.ec2}:${kind}/*"]
  }

  # The instance that bakes an AMI: its component, and Image Builder's program, from a bucket of AWS's own.
  statement {
    sid       = "ImageBuilder"
    actions   = ["imagebuilder:GetComponent"]
    resources = ["${local.arn.imagebuilder}:component/${local.name}-*"]
  }

  statement {
    sid       = "ImageBuilderProgram"
    actions   = ["s3:GetObject"]
    resources = ["arn:${local.partition}:s3:::ec2imagebuilder-*-${var.region}-prod/*"]
  }

  # The shared storage's log-in.
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue", "ssm:GetParameters"]
    resources = ["${local.arn.secretsmanager}:secret:${local.name}-*", "${local.arn.ssm}:parameter/winbatch/${var.environment}/*"]
  }

  # Only to ECS tasks, and only roles that are bounded themselves.
  statement {
    sid       = "RolesOfTasks"
    actions   = ["iam:PassRole"]
    resources = ["${local.iam}:role/${local.name}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ecs-tasks.amazonaws.com"]
    }
  }

  # A workload's image of its own may lie in another account.
  statement {
    sid       = "Images"
    actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
    resources = ["arn:${local.partition}:ecr:${var.region}:*:repository/*"]
  }

  statement {
    sid = "Logs"
    actions = [
      "logs:CreateLogGroup",
      "logs:CreateLogStream",
      "logs:FilterLogEvents",
      "logs:Get*",
      "logs:PutLogEvents",
    ]
    resources = [for group in ["/aws/imagebuilder/${local.name}-*", "/winbatch/${var.environment}/*", "airflow-${local.name}-*"] : "${local.arn.logs}:log-group:${group}"]
  }

  statement {
    sid       = "Airflow"
    actions   = ["airflow:PublishMetrics"]
    resources = ["${local.arn.airflow}:environment/${local.name}"]
  }

  # Airflow's queue lies in an account of the service.
  statement {
    sid = "Queue"
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
}

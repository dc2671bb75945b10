# What Terraform reads while it plans the environment's root. No job, no result, no log and no secret is among it: of objects only those
# that the root itself wrote.

data "aws_iam_policy_document" "read" {
  # These calls know no resources, or tell nothing but settings.
  statement {
    sid = "DescribeSettings"
    actions = [
      "application-autoscaling:Describe*",
      "autoscaling:Describe*",
      "budgets:ListTagsForResource",
      "budgets:ViewBudget",
      "cloudformation:DescribeStacks",
      "cloudformation:GetTemplate",
      "cloudwatch:Describe*",
      "cloudwatch:ListTagsForResource",
      "ds:DescribeDirectories",
      "ec2:Describe*",
      "ec2:GetEbsEncryptionByDefault",
      "ecr:DescribeRepositories",
      "ecs:DescribeCapacityProviders",
      "ecs:DescribeClusters",
      "ecs:DescribeTaskDefinition",
      "ecs:ListTagsForResource",
      "ecs:ListTaskDefinitionFamilies",
      "ecs:ListTaskDefinitions",
      "events:Describe*",
      "events:List*",
      "fsx:Describe*",
      "fsx:ListTagsForResource",
      "imagebuilder:Get*",
      "imagebuilder:List*",
      "kms:ListAliases",
      "logs:Describe*",
      "logs:ListTagsForResource",
      "route53resolver:Get*",
      "route53resolver:List*",
      "sns:GetSubscriptionAttributes",
      "ssm:DescribeParameters",
      "sts:GetCallerIdentity",
      "tag:GetResources",
    ]
    resources = ["*"]
  }

  # User data may hold what somebody else put there.
  statement {
    sid       = "NotOthersUserData"
    effect    = "Deny"
    actions   = ["ec2:DescribeInstanceAttribute"]
    resources = ["*"]
  }

  statement {
    sid     = "FindImages"
    actions = ["ssm:GetParameter", "ssm:GetParameters"]
    resources = [
      "arn:${local.partition}:ssm:${var.region}::parameter/aws/service/ami-windows-latest/*",
      # What Image Builder bakes, and what somebody bakes elsewhere for this environment.
      "${local.arn.ssm}:parameter/imagebuilder/${local.name}/*",
      "${local.arn.ssm}:parameter/winbatch/${var.environment}/*",
    ]
  }

  statement {
    sid = "ReadBuckets"
    actions = [
      "s3:GetAccelerateConfiguration",
      "s3:GetBucketAcl",
      "s3:GetBucketCORS",
      "s3:GetBucketLocation",
      "s3:GetBucketLogging",
      "s3:GetBucketNotification",
      "s3:GetBucketObjectLockConfiguration",
      "s3:GetBucketOwnershipControls",
      "s3:GetBucketPolicy",
      "s3:GetBucketPolicyStatus",
      "s3:GetBucketPublicAccessBlock",
      "s3:GetBucketRequestPayment",
      "s3:GetBucketTagging",
      "s3:GetBucketVersioning",
      "s3:GetBucketWebsite",
      "s3:GetEncryptionConfiguration",
      "s3:GetLifecycleConfiguration",
      "s3:GetReplicationConfiguration",
      "s3:ListBucket",
      "s3:ListTagsForResource",
    ]
    resources = ["${local.buckets}-*"]
  }

  statement {
    sid     = "ReadOwnObjects"
    actions = ["s3:GetObject", "s3:GetObjectTagging", "s3:GetObjectVersion"]
    resources = [for object in ["dags/deployment.json", "dags/releases/*/jobs/*.yaml", "requirements.txt", "startup.sh"] :
    "${local.buckets}-dags/${object}"]
  }

  # The data bucket's objects are encrypted with the same key; its context tells the buckets apart.
  statement {
    sid       = "DecryptOwnObjects"
    actions   = ["kms:Decrypt"]
    resources = ["${local.arn.kms}:key/*"]

    condition {
      test     = "ForAnyValue:StringEquals"
      variable = "kms:ResourceAliases"
      values   = ["alias/${local.name}"]
    }

    condition {
      test     = "StringEquals"
      variable = "kms:EncryptionContext:aws:s3:arn"
      values   = ["${local.buckets}-dags"]
    }
  }

  statement {
    sid       = "ReadKeys"
    actions   = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
    resources = ["${local.arn.kms}:key/*"]
  }

  statement {
    sid       = "ReadRepositories"
    actions   = ["ecr:GetLifecyclePolicy", "ecr:GetRepositoryPolicy", "ecr:ListTagsForResource"]
    resources = ["${local.arn.ecr}:repository/${local.name}/*"]
  }

  statement {
    sid       = "ReadAirflow"
    actions   = ["airflow:GetEnvironment", "airflow:ListTagsForResource"]
    resources = ["${local.arn.airflow}:environment/${local.name}"]
  }

  statement {
    sid       = "ReadDashboards"
    actions   = ["cloudwatch:GetDashboard"]
    resources = ["arn:${local.partition}:cloudwatch::${local.account_id}:dashboard/${local.name}"]
  }

  statement {
    sid       = "ReadTopics"
    actions   = ["sns:GetTopicAttributes", "sns:ListSubscriptionsByTopic", "sns:ListTagsForResource"]
    resources = ["${local.arn.sns}:${local.name}-*"]
  }

  statement {
    sid = "ReadRoles"
    actions = [
      "iam:GetInstanceProfile",
      "iam:GetRole",
      "iam:GetRolePolicy",
      "iam:ListAttachedRolePolicies",
      "iam:ListInstanceProfilesForRole",
      "iam:ListInstanceProfileTags",
      "iam:ListRolePolicies",
      "iam:ListRoleTags",
    ]
    resources = ["${local.iam}:instance-profile/${local.name}-*", "${local.iam}:role/${local.name}-*"]
  }
}

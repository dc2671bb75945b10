data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  dns_suffix = data.aws_partition.current.dns_suffix
  name       = "winbatch-${var.environment}"

  # What the pipeline is, apart from what it makes: nothing below this path is the apply role's to change.
  path = "/deployment/"

  # By service: the region's own, this account's.
  arn = { for service in toset([
    "airflow", "autoscaling", "cloudformation", "cloudwatch", "ec2", "ecr", "ecs", "fsx", "imagebuilder", "kms", "logs", "route53resolver", "secretsmanager", "sns", "ssm",
  ]) : service => "arn:${local.partition}:${service}:${var.region}:${local.account_id}" }
  iam = "arn:${local.partition}:iam::${local.account_id}"

  # The environment's own buckets; the state's is not one of them.
  buckets = "arn:${local.partition}:s3:::${local.name}-${local.account_id}-${var.region}"
}

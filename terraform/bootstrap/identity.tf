# Roles, without which the apply role could not do its work and with which it could make itself an administrator. So: only roles of this
# environment's name, only with the boundary, and the boundary cannot be taken off or changed. The pipeline's own roles, the boundary and the
# identity provider have another path and are out of reach.

data "aws_iam_policy_document" "identity" {
  #checkov:skip=CKV_WB_3: until 2027-05-31: the environment's own roles, which are not there yet; the boundary bounds each of them
  # AWS knows the boundary as a condition of these calls.
  statement {
    sid = "WriteBoundedRoles"
    actions = [
      "iam:AttachRolePolicy",
      "iam:CreateRole",
      "iam:DeleteRolePolicy",
      "iam:DetachRolePolicy",
      "iam:PutRolePermissionsBoundary",
      "iam:PutRolePolicy",
    ]
    resources = ["${local.iam}:role/${local.name}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PermissionsBoundary"
      values   = ["${local.iam}:policy${local.path}${local.name}-boundary"]
    }
  }

  # These give no right to the role; who may assume it gets what the boundary leaves at most.
  statement {
    sid = "KeepRoles"
    actions = [
      "iam:DeleteRole",
      "iam:TagRole",
      "iam:UntagRole",
      "iam:UpdateAssumeRolePolicy",
      "iam:UpdateRole",
      "iam:UpdateRoleDescription",
    ]
    resources = ["${local.iam}:role/${local.name}-*"]
  }

  statement {
    sid = "KeepInstanceProfiles"
    actions = [
      "iam:AddRoleToInstanceProfile",
      "iam:CreateInstanceProfile",
      "iam:DeleteInstanceProfile",
      "iam:RemoveRoleFromInstanceProfile",
      "iam:TagInstanceProfile",
      "iam:UntagInstanceProfile",
    ]
    resources = ["${local.iam}:instance-profile/${local.name}-*"]
  }

  statement {
    sid       = "HandRolesToServices"
    actions   = ["iam:PassRole"]
    resources = ["${local.iam}:role/${local.name}-*"]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values = [
        "airflow-env.amazonaws.com",
        "airflow.amazonaws.com",
        "autoscaling.amazonaws.com",
        "ec2.${local.dns_suffix}",
        "ecs-tasks.amazonaws.com",
        "vpc-flow-logs.amazonaws.com",
      ]
    }
  }

  # The services' own roles, which they make once an account.
  statement {
    sid       = "LetServicesMakeTheirs"
    actions   = ["iam:CreateServiceLinkedRole"]
    resources = ["${local.iam}:role/aws-service-role/*"]

    condition {
      test     = "StringEquals"
      variable = "iam:AWSServiceName"
      values = [
        "airflow.amazonaws.com",
        "autoscaling.amazonaws.com",
        "ecs.amazonaws.com",
        "events.amazonaws.com",
        "fsx.amazonaws.com",
        "imagebuilder.amazonaws.com",
        "spot.amazonaws.com",
      ]
    }
  }
}

locals {
  issuer       = "token.actions.githubusercontent.com"
  provider_arn = "${local.iam}:oidc-provider/${local.issuer}"

  # Who a role is for, to the letter. A job in GitHub's environment <name>-plan (pull requests, drift, the plan after a merge) may look;
  # only one in the environment <name>, which its reviewers guard, may change.
  subjects = var.github == null ? {} : {
    apply = ["repo:${var.github.repository}:environment:${var.environment}"]
    plan  = ["repo:${var.github.repository}:environment:${var.environment}-plan"]
  }

  # Who is named in operators may be each role, too, by a session of an hour.
  roles = var.github == null && length(var.operators) == 0 ? [] : ["apply", "plan"]

  # An apply waits for MWAA for most of an hour, and may be followed by images and a release.
  session_hours = { apply = 3, plan = 1 }

  descriptions = {
    apply = "GitHub's jobs in environment ${var.environment}: applies this environment's root"
    plan  = "GitHub's jobs in environment ${var.environment}-plan: plans this environment's root"
  }
}

# One an account; a second environment in the same account uses the first one's.
resource "aws_iam_openid_connect_provider" "github" {
  count = try(var.github.create_provider, false) ? 1 : 0

  url            = "https://${local.issuer}"
  client_id_list = ["sts.amazonaws.com"]

  # The other environments' roles need it too.
  lifecycle {
    prevent_destroy = true
  }
}

data "aws_iam_policy_document" "trust" {
  #checkov:skip=CKV_AWS_358: until 2027-05-31: checkov cannot read a subject behind for_each; terraform/tests/bootstrap.tftest.hcl does, to the letter
  for_each = toset(local.roles)

  dynamic "statement" {
    for_each = var.github == null ? [] : [local.subjects[each.key]]

    content {
      actions = ["sts:AssumeRoleWithWebIdentity"]

      principals {
        type        = "Federated"
        identifiers = [local.provider_arn]
      }

      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:aud"
        values   = ["sts.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "${local.issuer}:sub"
        values   = statement.value
      }
    }
  }

  # The account, and of it those who are named: a role that is deleted and made anew is another principal, but has the same ARN.
  dynamic "statement" {
    for_each = length(var.operators) == 0 ? [] : [var.operators]

    content {
      actions = ["sts:AssumeRole"]

      principals {
        type        = "AWS"
        identifiers = ["${local.iam}:root"]
      }

      condition {
        test     = "ArnEquals"
        variable = "aws:PrincipalArn"
        values   = statement.value
      }
    }
  }
}

resource "aws_iam_role" "deployment" {
  for_each = toset(local.roles)

  name                 = "${local.name}-${each.key}"
  path                 = local.path
  description          = local.descriptions[each.key]
  assume_role_policy   = data.aws_iam_policy_document.trust[each.key].json
  max_session_duration = local.session_hours[each.key] * 3600

  depends_on = [aws_iam_openid_connect_provider.github]
}

locals {
  policies = length(local.roles) == 0 ? {} : {
    boundary = { description = "What the roles of ${local.name} may do at most", json = data.aws_iam_policy_document.boundary.json }
    compute  = { description = "Images, cluster and Airflow of ${local.name}", json = data.aws_iam_policy_document.compute.json }
    identity = { description = "Roles of ${local.name}, within their boundary", json = data.aws_iam_policy_document.identity.json }
    network  = { description = "The network of ${local.name}", json = data.aws_iam_policy_document.network.json }
    options  = { description = "What ${local.name} has only if asked", json = data.aws_iam_policy_document.options.json }
    platform = { description = "Buckets, key, logs and alarms of ${local.name}", json = data.aws_iam_policy_document.platform.json }
    read     = { description = "What planning ${local.name} reads", json = data.aws_iam_policy_document.read.json }
    state    = { description = "Terraform's state of ${local.name}", json = data.aws_iam_policy_document.state.json }
    lock     = { description = "Reading the state of ${local.name} under its lock", json = data.aws_iam_policy_document.lock.json }
  }

  attachments = length(local.roles) == 0 ? {} : merge([
    for role, policies in { apply = ["compute", "identity", "network", "options", "platform", "read", "state"], plan = ["lock", "read"] } :
    { for policy in policies : "${role}-${policy}" => { policy = policy, role = role } }
  ]...)
}

resource "aws_iam_policy" "deployment" {
  for_each = local.policies

  name        = "${local.name}-${each.key}"
  path        = local.path
  description = each.value.description
  policy      = each.value.json
}

resource "aws_iam_role_policy_attachment" "deployment" {
  for_each = local.attachments

  role       = aws_iam_role.deployment[each.value.role].name
  policy_arn = aws_iam_policy.deployment[each.value.policy].arn
}

# The bootstrap root with a mocked provider.

# Planned and not applied: nothing here may be destroyed, a test's own things included.
mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  environment  = "test"
  region       = "cn-north-1"
  state_bucket = "acme-winbatch-test-tfstate"
}

run "state_alone" {
  command = plan

  module {
    source = "./bootstrap"
  }

  assert {
    condition     = output.github == null && length(aws_iam_role.deployment) + length(aws_iam_policy.deployment) == 0
    error_message = "Without GitHub there is no role to assume."
  }

  assert {
    condition     = aws_s3_bucket.state.bucket == "acme-winbatch-test-tfstate" && output.backend.key == "winbatch.tfstate"
    error_message = "The state lies where the backend file says."
  }

  assert {
    condition = {
      for statement in data.aws_iam_policy_document.bucket.statement : statement.sid => statement.effect
    } == { OnlyTls = "Deny", OnlyThisAccount = "Deny", OnlyItsKey = "Deny", NothingIsLost = "Deny" }
    error_message = "The bucket is closed to anything but TLS, this account and its key, and keeps what it has."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.state.versioning_configuration).status == "Enabled"
    error_message = "Every state is kept."
  }
}

run "github" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    github = { repository = "acme@123/winbatch@456" }
  }

  assert {
    condition = jsonencode({
      for role, trust in data.aws_iam_policy_document.trust : role => {
        for condition in one(trust.statement).condition : condition.variable => [condition.test, sort(condition.values)]
      }
      }) == jsonencode({
      apply = {
        "token.actions.githubusercontent.com:aud" = ["StringEquals", ["sts.amazonaws.com"]]
        "token.actions.githubusercontent.com:sub" = ["StringEquals", ["repo:acme@123/winbatch@456:environment:test"]]
      }
      plan = {
        "token.actions.githubusercontent.com:aud" = ["StringEquals", ["sts.amazonaws.com"]]
        "token.actions.githubusercontent.com:sub" = ["StringEquals", ["repo:acme@123/winbatch@456:environment:test-plan"]]
      }
    })
    error_message = "Each role is for one repository and its environment, to the letter."
  }

  assert {
    condition     = keys(aws_iam_role_policy_attachment.deployment) == ["apply-compute", "apply-identity", "apply-network", "apply-options", "apply-platform", "apply-read", "apply-state", "plan-lock", "plan-read"]
    error_message = "The plan role reads and locks, and nothing else."
  }

  assert {
    condition = toset(flatten([
      for statement in concat(data.aws_iam_policy_document.lock.statement, data.aws_iam_policy_document.read.statement) : [
        for action in statement.actions : action
        if statement.effect != "Deny" && !can(regex("^[a-z0-9-]+:(BatchGet|Describe|Get|List|View)", action))
      ]
    ])) == toset(["kms:Decrypt", "kms:GenerateDataKey", "s3:DeleteObject", "s3:PutObject"])
    error_message = "Beside reading, the plan role uses keys and writes the lock."
  }

  assert {
    condition = toset(flatten([
      for statement in data.aws_iam_policy_document.lock.statement : statement.resources if contains(statement.actions, "s3:PutObject")
    ])) == toset(["${aws_s3_bucket.state.arn}/winbatch.tfstate.tflock"])
    error_message = "The plan role writes the lock, and no state."
  }

  assert {
    condition = (
      !anytrue([for statement in data.aws_iam_policy_document.lock.statement : statement.sid == "OpenPlan"]) &&
      toset(flatten([for statement in data.aws_iam_policy_document.lock.statement : [for condition in statement.condition : condition.values] if statement.sid == "SealPlan"])) == toset(["plan", "test"]) &&
      toset(flatten([for statement in data.aws_iam_policy_document.state.statement : [for condition in statement.condition : condition.values] if statement.sid == "OpenPlan"])) == toset(["plan", "test"])
    )
    error_message = "The plan role seals this environment's plans, and only the apply role opens them."
  }

  # Whoever may write a role's policy without a boundary is an administrator.
  assert {
    condition = alltrue([
      for statement in data.aws_iam_policy_document.identity.statement : anytrue([
        for condition in statement.condition : condition.variable == "iam:PermissionsBoundary" && one(condition.values) == "arn:aws-cn:iam::123456789012:policy/deployment/winbatch-test-boundary"
      ]) if length(setintersection(statement.actions, ["iam:AttachRolePolicy", "iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"])) > 0
    ])
    error_message = "Roles are made and given rights within the boundary only."
  }

  assert {
    condition = length(setintersection(flatten([for document in ["compute", "identity", "network", "options", "platform", "state"] : [
      for statement in {
        compute  = data.aws_iam_policy_document.compute, identity = data.aws_iam_policy_document.identity
        network  = data.aws_iam_policy_document.network, options = data.aws_iam_policy_document.options
        platform = data.aws_iam_policy_document.platform, state = data.aws_iam_policy_document.state
      }[document].statement : statement.actions
      ]]), [
      "iam:CreatePolicyVersion", "iam:DeleteRolePermissionsBoundary", "iam:SetDefaultPolicyVersion", "iam:UpdateOpenIDConnectProviderThumbprint",
      "iam:CreateOpenIDConnectProvider", "iam:AddClientIDToOpenIDConnectProvider", "iam:CreateUser", "iam:CreateAccessKey", "sts:AssumeRole",
      "ec2:AssociateIamInstanceProfile", "ssm:SendCommand", "lambda:UpdateFunctionCode", "iam:*", "s3:*", "ecs:*", "ec2:*", "kms:*",
    ])) == 0
    error_message = "The apply role has no way past its boundary."
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 1 && aws_iam_role.deployment["apply"].max_session_duration == 10800
    error_message = "The account gets GitHub's provider, and an apply has time for MWAA."
  }

  assert {
    condition     = output.github.permissions_boundary == "deployment/winbatch-test-boundary"
    error_message = "The environment's values name the boundary."
  }
}

run "operators" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    operators = ["arn:aws-cn:iam::123456789012:role/admin"]
  }

  assert {
    condition = jsonencode({
      for role, trust in data.aws_iam_policy_document.trust : role => [
        one(trust.statement).actions, one(one(trust.statement).principals).identifiers,
        one(one(trust.statement).condition).variable, one(one(trust.statement).condition).values,
      ]
      }) == jsonencode({
      for role in ["apply", "plan"] : role => [
        ["sts:AssumeRole"], ["arn:aws-cn:iam::123456789012:root"], "aws:PrincipalArn", ["arn:aws-cn:iam::123456789012:role/admin"],
      ]
    })
    error_message = "Without GitHub each role is for the operators alone."
  }

  assert {
    condition     = output.github == null && keys(output.pipeline.roles) == ["apply", "plan"] && length(aws_iam_openid_connect_provider.github) == 0
    error_message = "The roles are there, and nothing of GitHub's."
  }
}

run "operators_are_named" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    operators = ["arn:aws-cn:iam::123456789012:role/*"]
  }

  expect_failures = [var.operators]
}

# An environment whose name begins with another's, such as test2, is somebody else.
run "names_end" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    github = { repository = "acme/winbatch" }
  }

  assert {
    condition = [
      for resource in distinct(flatten([
        for policy in [
          data.aws_iam_policy_document.boundary, data.aws_iam_policy_document.compute, data.aws_iam_policy_document.identity,
          data.aws_iam_policy_document.options, data.aws_iam_policy_document.platform, data.aws_iam_policy_document.read,
        ] :
        [for statement in policy.statement : [for resource in statement.resources : resource]]
      ])) : resource if strcontains(resource, "winbatch-test*")
    ] == []
    error_message = "A name of the environment is followed by its end or by a dash, so that test's roles do not reach test2."
  }
}

run "a_provider_that_is_there" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    github = { create_provider = false, repository = "acme/winbatch" }
  }

  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && length(aws_iam_role.deployment) == 2
    error_message = "An account has one provider; a second environment uses it."
  }

  assert {
    condition     = one(one(data.aws_iam_policy_document.trust["plan"].statement).principals).identifiers == toset(["arn:aws-cn:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"])
    error_message = "The provider's ARN is known by its name."
  }
}

run "refusals" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    environment      = "my-env"
    github           = { repository = "acme/*" }
    old_version_days = 1
    region           = "cn-north-1a"
    state_bucket     = "UPPER"
    state_key        = "bootstrap.tfstate"
  }

  expect_failures = [var.environment, var.github, var.old_version_days, var.region, var.state_bucket, var.state_key]
}

run "half_an_id_and_a_bucket_of_the_environments" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    github       = { repository = "acme@123/winbatch" }
    state_bucket = "winbatch-test-123456789012-cn-north-1-state"
  }

  expect_failures = [var.github, var.state_bucket]
}

run "account_that_lost_its_zeros_and_tag_of_aws" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    aws_provider = { allowed_account_ids = ["12345678901"] }
    tags         = { "aws:owner" = "me" }
  }

  expect_failures = [
    var.aws_provider,
    var.tags,
  ]
}

run "half_a_try_and_tag_of_the_root" {
  command = plan

  module {
    source = "./bootstrap"
  }

  variables {
    aws_provider = { max_retries = 0.5 }
    tags         = { root = "mine" }
  }

  expect_failures = [
    var.aws_provider,
    var.tags,
  ]
}

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "winbatch-test"
  region             = "cn-north-1"
  auto_scaling_group = "the-group"
  cluster            = "the-cluster"
  kms_key_arn        = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_retention_days = 365
  mwaa_environment   = "the-airflow"
  usd_per_hour       = 0.378

  scheduler_environment = "the-airflow"
}

run "refusals" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    alarm_minutes = { stuck = 7 }
    budget        = { usd_per_month = 0 }
    emails        = ["somebody"]
    webhooks      = ["http://chat.example.com/hook"]
  }

  expect_failures = [var.alarm_minutes, var.budget, var.emails, var.webhooks]
}

run "backstop_too_quick_and_too_many_percentages" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    backstop = { idle_minutes = 10 }
    budget   = { usd_per_month = 10, spent_percents = [10, 20, 30, 40, 50] }
  }

  expect_failures = [var.backstop, var.budget]
}

run "backstop_before_its_warning" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    alarm_minutes = { idle = 60 }
  }

  expect_failures = [var.backstop]
}

# A run breaks one rule of many variables at once, because each run starts the provider anew.
run "what_no_other_module_hands_over" {
  command = plan

  module {
    source = "./modules/observability"
  }

  variables {
    auto_scaling_group = "the group"
    cluster            = "arn:aws:ecs:cluster/x"
    kms_key_arn        = "alias/winbatch-test"
    log_retention_days = 0
    mwaa_environment   = ""
    name               = "winbatch-my-env"
    region             = "cn-north-1a"

    scheduler_environment = ""
    usd_per_hour          = -1
  }

  expect_failures = [
    var.auto_scaling_group,
    var.cluster,
    var.kms_key_arn,
    var.log_retention_days,
    var.mwaa_environment,
    var.name,
    var.region,
    var.scheduler_environment,
    var.usd_per_hour,
  ]
}

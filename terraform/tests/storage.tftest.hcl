mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name          = "winbatch-test"
  region        = "cn-north-1"
  data_prefixes = ["jobs", "team/sim"]
}

run "kept_for_ever" {
  command = plan

  module {
    source = "./modules/storage"
  }

  assert {
    condition = [for purpose in ["dags", "data", "logs"] : aws_s3_bucket.bucket[purpose].bucket] == [
      "winbatch-test-123456789012-cn-north-1-dags", "winbatch-test-123456789012-cn-north-1-data", "winbatch-test-123456789012-cn-north-1-logs",
    ]
    error_message = "Buckets are named by environment, account, region and purpose."
  }

  assert {
    condition     = !aws_s3_bucket.bucket["data"].force_destroy
    error_message = "A bucket that holds results survives a destroy unless somebody says otherwise."
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.bucket["data"].rule) == 1
    error_message = "Results stay unless somebody says for how long."
  }

  assert {
    condition = alltrue([for bucket in aws_s3_bucket_lifecycle_configuration.bucket :
      bucket.rule[0].noncurrent_version_expiration[0].noncurrent_days == 30 && bucket.rule[0].abort_incomplete_multipart_upload[0].days_after_initiation == 3
    ])
    error_message = "Old versions and uploads that nobody ended go everywhere."
  }

  assert {
    condition     = [for rule in aws_s3_bucket_lifecycle_configuration.bucket["logs"].rule : rule.expiration[0].days] == [90]
    error_message = "Access logs go after three months."
  }

  assert {
    condition = alltrue([
      for purpose in ["dags", "data", "logs"] : alltrue([
        aws_s3_bucket_public_access_block.bucket[purpose].block_public_acls,
        aws_s3_bucket_public_access_block.bucket[purpose].block_public_policy,
        aws_s3_bucket_public_access_block.bucket[purpose].ignore_public_acls,
        aws_s3_bucket_public_access_block.bucket[purpose].restrict_public_buckets,
        aws_s3_bucket_versioning.bucket[purpose].versioning_configuration[0].status == "Enabled",
      ])
    ])
    error_message = "All buckets are versioned and closed to the public."
  }

  assert {
    condition     = { for purpose, bucket in aws_s3_bucket_logging.bucket : purpose => bucket.target_prefix } == { dags = "dags/", data = "data/" }
    error_message = "Who reads and writes DAGs and data is logged; the log is not."
  }

  assert {
    condition     = aws_kms_key.key.enable_key_rotation && aws_kms_key.key.deletion_window_in_days == 30
    error_message = "The key rotates, and can be rescued for a month."
  }
}

# Applied, with the mocked provider, so that the key has an ARN.
run "encryption" {
  module {
    source = "./modules/storage"
  }

  assert {
    condition = {
      for purpose, bucket in aws_s3_bucket_server_side_encryption_configuration.bucket : purpose =>
      [for rule in bucket.rule : "${rule.apply_server_side_encryption_by_default[0].sse_algorithm} ${rule.apply_server_side_encryption_by_default[0].kms_master_key_id == aws_kms_key.key.arn}"]
    } == { dags = ["aws:kms true"], data = ["aws:kms true"], logs = ["AES256 false"] }
    error_message = "Everything lies under the environment's key, but for access logs, which S3 delivers under keys of its own only."
  }
}

run "who_may_do_what" {
  command = plan

  module {
    source = "./modules/storage"
  }

  assert {
    condition = { for purpose, policy in data.aws_iam_policy_document.bucket : purpose => [for statement in policy.statement : statement.sid] } == {
      dags = ["OnlyTls", "OnlyThisAccount", "NoKeyOfTheWriters", "NoOtherEncryption", "KeepBucket"]
      data = ["OnlyTls", "OnlyThisAccount", "NoKeyOfTheWriters", "NoOtherEncryption", "KeepBucket", "KeepVersions"]
      logs = ["OnlyTls", "OnlyThisAccount", "KeepBucket", "KeepVersions", "TakeAccessLogs"]
    }
    error_message = "Buckets take nobody without TLS and of no other account, nothing under another key, and keep what they hold."
  }

  assert {
    condition = alltrue(flatten([
      for policy in data.aws_iam_policy_document.bucket : [for statement in policy.statement : statement.effect == "Deny" || statement.sid == "TakeAccessLogs"]
    ]))
    error_message = "Bucket policies take away and give nothing, but for S3's own delivery of logs."
  }

  assert {
    condition = jsonencode({
      for statement in data.aws_iam_policy_document.bucket["data"].statement : statement.sid => {
        for condition in statement.condition : "${condition.test} ${condition.variable}" => one(condition.values)
      } if startswith(statement.sid, "No")
      }) == jsonencode({
      NoKeyOfTheWriters = { "Null s3:x-amz-server-side-encryption-customer-algorithm" = "false" }
      NoOtherEncryption = { "Null s3:x-amz-server-side-encryption" = "false", "StringNotEquals s3:x-amz-server-side-encryption" = "aws:kms" }
    })
    error_message = "Who asks for no key gets the bucket's; who asks for another kind or brings one along is refused."
  }

  assert {
    condition = flatten([
      for statement in data.aws_iam_policy_document.bucket["logs"].statement : sort([for condition in statement.condition : condition.variable]) if statement.sid == "TakeAccessLogs"
    ]) == ["aws:SourceAccount", "aws:SourceArn"]
    error_message = "S3 delivers logs of these buckets of this account only."
  }
}

run "thrown_away" {
  command = plan

  module {
    source = "./modules/storage"
  }

  variables {
    access_log_days = 7
    force_destroy   = true
  }

  assert {
    condition     = alltrue([for bucket in aws_s3_bucket.bucket : bucket.force_destroy])
    error_message = "Where somebody says so, buckets go with what they hold."
  }

  assert {
    condition     = !anytrue(flatten([for policy in data.aws_iam_policy_document.bucket : [for statement in policy.statement : startswith(statement.sid, "Keep")]]))
    error_message = "What is to go is not kept by a policy."
  }
}

run "kept_for_a_week" {
  command = plan

  module {
    source = "./modules/storage"
  }

  variables {
    job_retention_days = 7
  }

  assert {
    condition = [for rule in aws_s3_bucket_lifecycle_configuration.bucket["data"].rule : "${rule.id} ${rule.filter[0].prefix} ${rule.expiration[0].days}" if rule.id != "old-versions"] == [
      "jobs-jobs jobs/ 7", "jobs-team-sim team/sim/ 7"
    ]
    error_message = "A life time is for the prefixes that jobs use, and for no others."
  }

  assert {
    condition     = length(aws_s3_bucket_lifecycle_configuration.bucket["dags"].rule) == 1
    error_message = "DAGs do not expire."
  }
}

run "refusals" {
  command = plan

  module {
    source = "./modules/storage"
  }

  variables {
    access_log_days    = 0
    job_retention_days = 0
    key_deletion_days  = 1
    old_version_days   = 1.5
  }

  expect_failures = [var.access_log_days, var.job_retention_days, var.key_deletion_days, var.old_version_days]
}

# A run breaks one rule of many variables at once, because each run starts the provider anew.
run "what_no_other_module_hands_over" {
  command = plan

  module {
    source = "./modules/storage"
  }

  variables {
    data_prefixes = []
    name          = "winbatch-my-env"
    region        = "cn-north-1a"
  }

  expect_failures = [
    var.data_prefixes,
    var.name,
    var.region,
  ]
}

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
    condition     = [for purpose in ["dags", "data"] : aws_s3_bucket.bucket[purpose].bucket] == ["winbatch-test-123456789012-cn-north-1-dags", "winbatch-test-123456789012-cn-north-1-data"]
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
    condition = alltrue([
      for purpose in ["dags", "data"] : alltrue([
        aws_s3_bucket_public_access_block.bucket[purpose].block_public_acls,
        aws_s3_bucket_public_access_block.bucket[purpose].block_public_policy,
        aws_s3_bucket_public_access_block.bucket[purpose].ignore_public_acls,
        aws_s3_bucket_public_access_block.bucket[purpose].restrict_public_buckets,
        aws_s3_bucket_versioning.bucket[purpose].versioning_configuration[0].status == "Enabled",
      ])
    ])
    error_message = "Both buckets are versioned and closed to the public."
  }

  assert {
    condition     = aws_kms_key.key.enable_key_rotation && aws_kms_key.key.deletion_window_in_days == 30
    error_message = "The key rotates, and can be rescued for a month."
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
    job_retention_days = 0
    key_deletion_days  = 1
    old_version_days   = 1.5
  }

  expect_failures = [var.job_retention_days, var.key_deletion_days, var.old_version_days]
}

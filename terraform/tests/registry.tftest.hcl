mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name        = "winbatch-test"
  kms_key_arn = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  workloads   = ["ber", "fft"]
}

run "a_repository_a_workload" {
  command = plan

  module {
    source = "./modules/registry"
  }

  assert {
    condition     = { for workload, repository in aws_ecr_repository.repository : workload => repository.name } == { ber = "winbatch-test/ber", fft = "winbatch-test/fft" }
    error_message = "A repository is named by environment and workload."
  }

  assert {
    condition = alltrue([
      for repository in aws_ecr_repository.repository : repository.image_tag_mutability == "IMMUTABLE" && repository.image_scanning_configuration[0].scan_on_push && repository.encryption_configuration[0].kms_key == var.kms_key_arn
    ])
    error_message = "Images are immutable, scanned and under our key."
  }

  assert {
    condition     = !strcontains(aws_ecr_lifecycle_policy.repository["ber"].policy, "untagged")
    error_message = "An image in use is named by digest and may have no tag: it must not expire for that."
  }
}

run "refusals" {
  command = plan

  module {
    source = "./modules/registry"
  }

  variables {
    kept_images = 1
  }

  expect_failures = [var.kept_images]
}

# A run breaks one rule of many variables at once, because each run starts the provider anew.
run "what_no_other_module_hands_over" {
  command = plan

  module {
    source = "./modules/registry"
  }

  variables {
    kms_key_arn = "alias/winbatch-test"
    name        = "winbatch-my-env"
    workloads   = ["Ber"]
  }

  expect_failures = [
    var.kms_key_arn,
    var.name,
    var.workloads,
  ]
}

# Every validation of the root's own variables. A run breaks one rule of several variables at once, because each run starts
# the provider anew; a variable with several rules is in several runs.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment = "test"
  region      = "eu-central-1"
  airflow     = { webserver = { api_only = true } }
  cluster     = { instance_types = ["c5.xlarge"], max_instances = 3 }
  workloads   = { ber = { cpu = 4096, memory = 6144 } }
}

run "each_variable" {
  command = plan

  variables {
    data_prefixes        = ["sim"]
    environment          = "my-env"
    log_retention_days   = 10
    permissions_boundary = "/deployment/x"
    region               = "eu-central-1a"
  }

  expect_failures = [
    var.data_prefixes,
    var.environment,
    var.log_retention_days,
    var.permissions_boundary,
    var.region,
  ]
}

run "public_page_without_a_way_out_and_a_workload_without_memory" {
  command = plan

  variables {
    airflow   = { webserver = { access_mode = "PUBLIC_ONLY" } }
    workloads = { ber = { cpu = 4096, memory = 0 } }
  }

  expect_failures = [var.airflow, var.workloads]
}

run "private_endpoint_under_provider_5" {
  command = plan

  variables {
    airflow = { version = "3.2.1", webserver = { access_mode = "PUBLIC_AND_PRIVATE" } }
  }

  expect_failures = [var.airflow]
}

# A rule that looks at another variable is not asked while that one is refused.
run "prefix_with_a_slash" {
  command = plan

  variables {
    data_prefixes = ["jobs", "sim/"]
  }

  expect_failures = [var.data_prefixes]
}

run "digest_that_is_a_tag" {
  command = plan

  variables {
    image_digests = { ber = "latest" }
  }

  expect_failures = [var.image_digests]
}

run "digest_of_an_unknown_workload" {
  command = plan

  variables {
    image_digests = { bar = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
  }

  expect_failures = [var.image_digests]
}

run "digest_of_a_workload_with_an_image_of_its_own" {
  command = plan

  variables {
    image_digests = { ber = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
    workloads = {
      ber = { cpu = 4096, memory = 6144, image = "r/ber@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
    }
  }

  expect_failures = [var.image_digests]
}

run "dag_where_all_jobs_have_something" {
  command = plan

  variables {
    workload_dags = { ber = ["task_results"] }
  }

  expect_failures = [var.workload_dags]
}

run "dag_where_somebody_elses_results_lie" {
  command = plan

  variables {
    data_prefixes = ["jobs", "team", "team/sim/new"]
    workload_dags = { ber = ["sim"] }
  }

  expect_failures = [var.workload_dags]
}

run "inputs_among_the_jobs" {
  command = plan

  variables {
    workloads = { ber = { cpu = 4096, inputs = ["jobs/ber"], memory = 6144 } }
  }

  expect_failures = [var.workloads]
}

run "workload_named_in_upper_case" {
  command = plan

  variables {
    workloads = { BER = { cpu = 4096, memory = 6144 } }
  }

  expect_failures = [var.workloads]
}

run "workload_named_as_a_device_of_windows" {
  command = plan

  variables {
    workloads = { aux = { cpu = 4096, memory = 6144 } }
  }

  expect_failures = [var.workloads]
}

run "workload_image_by_tag" {
  command = plan

  variables {
    workloads = { ber = { cpu = 4096, memory = 6144, image = "example.com/ber:1" } }
  }

  expect_failures = [var.workloads]
}

run "workload_environment_of_the_contract" {
  command = plan

  variables {
    workloads = { ber = { cpu = 4096, memory = 6144, environment = { WINBATCH_SLOTS = "1" } } }
  }

  expect_failures = [var.workloads]
}

run "zones_beside_an_existing_network" {
  command = plan

  variables {
    network = { egress = "existing", existing = { vpc_id = "vpc-0a", subnet_ids = { a = "subnet-0a", b = "subnet-0b" } }, zones = ["a", "b"] }
  }

  expect_failures = [var.network]
}

run "share_with_a_password_instead_of_its_secret" {
  command = plan

  variables {
    shared_storage = { active_directory = { managed_directory_id = "d-0123456789" }, credentials_arn = "hunter2" }
  }

  expect_failures = [var.shared_storage]
}

run "share_at_a_path_of_unix" {
  command = plan

  variables {
    shared_storage = {
      active_directory = { managed_directory_id = "d-0123456789" }
      container_path   = "/mnt/shared"
      credentials_arn  = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:share-AbCdEf"
    }
  }

  expect_failures = [var.shared_storage]
}

run "windows_that_the_locked_provider_does_not_know" {
  command = plan

  variables {
    cluster = { instance_types = ["c5.xlarge"], max_instances = 3, windows = { version = "2025" } }
  }

  expect_failures = [var.cluster]
}

run "account_that_lost_its_zeros_and_tag_of_aws" {
  command = plan

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

  variables {
    aws_provider = { max_retries = 0.5 }
    tags         = { environment = "prod" }
  }

  expect_failures = [
    var.aws_provider,
    var.tags,
  ]
}

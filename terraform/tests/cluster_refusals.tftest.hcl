mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "winbatch-test"
  region             = "cn-north-1"
  data               = { bucket_arn = "arn:aws-cn:s3:::data", prefixes = ["jobs", "sim"] }
  images             = { ber = "r/ber@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
  instance_types     = ["c5.xlarge", "c6i.xlarge"]
  kms_key_arn        = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_retention_days = 365
  max_instances      = 3
  network = {
    https_destinations = { internet = { cidr_ipv4 = "0.0.0.0/0" }, s3 = { prefix_list_id = "pl-0123456789abcdef0" } }
    private_subnet_ids = { a = "subnet-a", b = "subnet-b" }
    vpc_id             = "vpc-0123456789abcdef0"
  }
  repository_arns = ["arn:aws-cn:ecr:cn-north-1:123456789012:repository/ber"]
  tags            = { root = "winbatch" }
  usd_per_hour    = { "c5.xlarge" = 0.378 }
  workloads = {
    ber = { cpu = 2560, memory = 6144, environment = { THREADS = "2" } }
    fft = { cpu = 512, memory = 512, environment = {} }
  }
}

run "refusals" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    agent              = { environment = { PATH = "x" } }
    container_insights = "on"
    instance_types     = []
    managed_scaling    = { target_capacity_percent = 0 }
    max_instances      = 0
    purchase           = { on_demand_percentage = 101 }
    root_volume        = { size_gib = 30 }
    windows            = { edition = "Nano" }
  }

  expect_failures = [
    var.agent,
    var.container_insights,
    var.instance_types,
    var.managed_scaling,
    var.max_instances,
    var.purchase,
    var.root_volume,
    var.windows,
  ]
}

run "further_refusals" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    agent          = { reserved_memory_mib = -1 }
    instance_types = ["c5.xlarge", "c5.xlarge"]
    purchase       = { spot_strategy = "cheap" }
    root_volume    = { throughput_mib = 2000 }
    windows        = { version = "2016" }
  }

  expect_failures = [var.agent, var.instance_types, var.purchase, var.root_volume, var.windows]
}

run "negative_price" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    usd_per_hour = { "c5.xlarge" = -0.1 }
  }

  expect_failures = [var.usd_per_hour]
}

run "price_of_a_type_that_is_not_used" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    usd_per_hour = { "c5.2xlarge" = 0.756 }
  }

  expect_failures = [var.usd_per_hour]
}

run "workload_larger_than_the_smallest_instance" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    workloads = { ber = { cpu = 4096, memory = 6759, environment = {} } }
  }

  expect_failures = [aws_ecs_task_definition.workload["ber"]]
}

# A run breaks one rule of many variables at once, because each run starts the provider anew.
run "what_no_other_module_hands_over" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    data                     = { bucket_arn = "data", prefixes = ["jobs"] }
    kms_key_arn              = "alias/winbatch-test"
    log_retention_days       = 0
    name                     = "winbatch-my-env"
    network                  = { https_destinations = { both = { cidr_ipv4 = "10.0.0.0/8", prefix_list_id = "pl-0123456789abcdef0" } }, private_subnet_ids = { a = "subnet-a", b = "subnet-b" }, vpc_id = "vpc-0a" }
    permissions_boundary_arn = "winbatch-test-boundary"
    region                   = "cn-north-1a"
    repository_arns          = ["ber"]
    shared_storage           = { container_path = "C:\\shared", credentials_arn = "hunter2", domain = "corp.example.com", file_system_id = "share" }
    workloads                = { ber = { cpu = 2560, environment = {}, memory = 0 }, fft = { cpu = 512, environment = {}, memory = 512 } }
  }

  expect_failures = [
    var.data,
    var.kms_key_arn,
    var.log_retention_days,
    var.name,
    var.network,
    var.permissions_boundary_arn,
    var.region,
    var.repository_arns,
    var.shared_storage,
    var.workloads,
  ]
}

run "one_subnet_and_an_image_by_tag" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    images  = { ber = "r/ber:1" }
    network = { https_destinations = { s3 = { prefix_list_id = "pl-0123456789abcdef0" } }, private_subnet_ids = { a = "subnet-a" }, vpc_id = "vpc-0a" }
  }

  expect_failures = [
    var.images,
    var.network,
  ]
}

run "inputs_that_are_a_pattern" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    workloads = { ber = { cpu = 2560, environment = {}, inputs = ["sim/*"], memory = 6144 } }
  }

  expect_failures = [
    var.workloads,
  ]
}

run "image_of_an_unknown_workload" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    images = { bar = "r/bar@sha256:aaaa" }
  }

  expect_failures = [
    var.images,
  ]
}

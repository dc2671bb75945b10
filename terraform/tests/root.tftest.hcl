# The whole root with a mocked provider, in a partition that is not `aws`: how the modules are wired together.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment = "test"
  region      = "cn-north-1"
  airflow     = { webserver = { api_only = true } }
  cluster     = { instance_types = ["c5.xlarge"], max_instances = 3 }
  workloads   = { ber = { cpu = 4096, memory = 6144 } }
}

# MWAA takes subnets that differ.
override_resource {
  target = module.network.aws_subnet.private["a"]
  values = { id = "subnet-0a" }
}

override_resource {
  target = module.network.aws_subnet.private["b"]
  values = { id = "subnet-0b" }
}

override_resource {
  target = module.network.aws_subnet.private["c"]
  values = { id = "subnet-0c" }
}

run "without_an_image" {
  assert {
    condition     = output.deployment.workloads == {}
    error_message = "A workload without an image must not be in deployment.json."
  }

  assert {
    condition     = keys(output.ecr_repositories) == ["ber"]
    error_message = "A workload without an image of its own needs a repository to push one to."
  }

  assert {
    condition     = output.deployment.cluster.max_instances == 3 && output.deployment.cluster.auto_scaling_group == "winbatch-test"
    error_message = "deployment.json must tell the cluster's names and bounds."
  }

  assert {
    condition = length(output.log_groups) == 9 && alltrue([for group in output.log_groups :
    strcontains(group, "winbatch-test") || startswith(group, "/winbatch/test/")])
    error_message = "Every log group carries the environment's name: ${join(", ", output.log_groups)}."
  }

  assert {
    condition     = length(module.shared_storage) == 0
    error_message = "Nobody pays for shared storage unasked."
  }

  assert {
    condition     = output.airflow_webserver_url == "https://mock.airflow.cn-north-1.amazonaws.com.cn"
    error_message = "The Airflow page's address must be one that a browser takes."
  }
}

run "who_is_told_and_what_is_watched" {
  variables {
    observability = { alarm_minutes = { stuck = 120 }, backstop = { idle_minutes = 90 }, budget = { usd_per_month = 100 } }
  }

  assert {
    condition     = output.deployment.metrics_log_group == "/winbatch/test/engine/metrics" && contains(output.log_groups, "/winbatch/test/engine/metrics")
    error_message = "The engine must be told where its metrics go."
  }

  assert {
    condition     = output.dashboard == "winbatch-test" && output.alarm_topic == "arn:aws-cn:sns:cn-north-1:123456789012:mock"
    error_message = "People must find the dashboard and the topic."
  }
}

run "with_an_image" {
  variables {
    image_digests = { ber = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
    workload_dags = { ber = ["ber"], gone = ["old"] }
  }

  assert {
    condition     = output.deployment.workloads["ber"].image == "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/mock@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
    error_message = "The image is the repository's with the digest."
  }

  assert {
    condition = {
      for key, value in output.deployment.workloads["ber"] : key => value if !contains(["image", "task_definition"], key)
    } == { container = "ber", cpu = 4096, dags = tolist(["ber"]), inputs = tolist(["sim/inputs"]), memory = 6144, log_group = "/winbatch/test/ber", log_stream_prefix = "ber" }
    error_message = "deployment.json must describe the workload as docs/architecture.md says."
  }
}

run "with_an_image_of_its_own" {
  variables {
    workloads = {
      ber = {
        cpu    = 1024
        memory = 2048
        image  = "210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn/theirs@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
      }
    }
  }

  assert {
    condition     = endswith(output.deployment.workloads["ber"].image, "theirs@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")
    error_message = "A workload's own image is used as it stands."
  }

  assert {
    condition     = output.ecr_repositories == {}
    error_message = "A workload with an image of its own gets no repository."
  }
}

run "three_zones_behind_nat" {
  variables {
    network = { egress = "nat", zones = ["a", "b", "c"] }
  }

  assert {
    condition     = length(output.deployment.cluster.subnets) == 3
    error_message = "ECS tasks may use all zones."
  }
}

run "a_boundary_of_every_role" {
  variables {
    permissions_boundary = "deployment/winbatch-test-boundary"
  }

  assert {
    condition     = local.permissions_boundary_arn == "arn:aws-cn:iam::123456789012:policy/deployment/winbatch-test-boundary"
    error_message = "The boundary is a policy of this account, in this partition."
  }
}

run "in_somebody_elses_network" {
  variables {
    network = { egress = "existing", existing = { vpc_id = "vpc-0a", subnet_ids = { a = "subnet-0a", b = "subnet-0b" } } }
  }

  override_data {
    target = module.network.data.aws_subnet.existing["a"]
    values = { availability_zone = "cn-north-1a", id = "subnet-0a", map_public_ip_on_launch = false, vpc_id = "vpc-0a" }
  }

  override_data {
    target = module.network.data.aws_subnet.existing["b"]
    values = { availability_zone = "cn-north-1b", id = "subnet-0b", map_public_ip_on_launch = false, vpc_id = "vpc-0a" }
  }

  assert {
    condition     = output.deployment.cluster.subnets == ["subnet-0a", "subnet-0b"]
    error_message = "ECS tasks run in the subnets that are named."
  }

  assert {
    condition     = length(output.log_groups) == 8
    error_message = "Flow logs are the network's owner's."
  }
}

run "with_shared_storage" {
  variables {
    image_digests = { ber = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
    shared_storage = {
      active_directory = { managed_directory_id = "d-0123456789" }
      credentials_arn  = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:share-AbCdEf"
    }
  }

  assert {
    condition     = length(module.shared_storage) == 1 && module.shared_storage[0].file_system_id == "fs-0123456789abcdef0"
    error_message = "Shared storage is there when somebody asks for it."
  }

  assert {
    condition     = strcontains(jsonencode(local.share), "C:\\\\shared") && local.share_endpoints == tolist(["fsx", "secretsmanager"])
    error_message = "Containers see it as C:\\shared, and the agents reach what they ask about it."
  }
}

run "instances_with_every_option" {
  variables {
    cluster = {
      data_volume    = { size_gib = 200 }
      instance_types = ["c5.xlarge", "c6i.xlarge"]
      max_instances  = 3
      root_volume    = { initialization_rate_mib = 200, size_gib = 120 }
      warm_pool      = { max_prepared = 2 }
      windows        = { edition = "Full", version = "2019" }
    }
    image_builder = { schedule = "cron(0 3 ? * sun *)" }
    image_digests = { ber = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
  }

  assert {
    condition     = toset(local.builder_buckets) == toset(["ec2imagebuilder-managed-resources-cn-north-1-prod", "ec2imagebuilder-toe-cn-north-1-prod"]) && contains(local.builder_endpoints, "imagebuilder")
    error_message = "Without the internet, the instance that bakes reaches Image Builder and its programs."
  }

  assert {
    condition     = output.image_builder.parameter == "/imagebuilder/winbatch-test/ami"
    error_message = "Whoever sets cluster.windows.ami_parameter is told what to."
  }
}

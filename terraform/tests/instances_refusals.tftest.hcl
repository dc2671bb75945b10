# The options of the instances: AMIs, volumes, the warm pool, and what cannot work.

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

run "own_ami_of_another_windows" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    windows = { ami_id = "ami-0123456789abcdef0" }
  }

  override_data {
    target = data.aws_ami.own
    values = { id = "ami-0123456789abcdef0", architecture = "x86_64", platform = "windows", tags = { windows = "2019-Core" } }
  }

  expect_failures = [data.aws_ami.own]
}

run "own_ami_of_linux" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    windows = { ami_id = "ami-0123456789abcdef0" }
  }

  override_data {
    target = data.aws_ami.own
    values = { id = "ami-0123456789abcdef0", architecture = "x86_64", platform = "", tags = {} }
  }

  expect_failures = [data.aws_ami.own]
}

run "two_amis_and_a_warm_pool_on_spot" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    purchase    = { on_demand_percentage = 50 }
    root_volume = { initialization_rate_mib = 50 }
    warm_pool   = {}
    windows     = { ami_id = "ami-0123456789abcdef0", ami_parameter = "/ami" }
  }

  expect_failures = [var.root_volume, var.warm_pool, var.windows]
}

run "names_that_are_none" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    data_volume = { source = "floppy" }
    root_volume = { throughput_mib = 1000 }
    windows     = { ami_id = "my-ami" }
  }

  expect_failures = [var.data_volume, var.root_volume, var.windows]
}

run "unknown_state_of_the_pool" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    warm_pool = { state = "Frozen" }
  }

  expect_failures = [var.warm_pool]
}

run "volume_faster_than_its_operations" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    data_volume = { throughput_mib = 1000 }
  }

  expect_failures = [var.data_volume]
}

run "volume_slower_than_gp3" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    data_volume = { throughput_mib = 100 }
  }

  expect_failures = [var.data_volume]
}

run "pool_larger_than_the_group" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    warm_pool = { max_prepared = 4 }
  }

  expect_failures = [var.warm_pool]
}

run "instance_store_in_a_stopped_pool" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  override_data {
    target = data.aws_ec2_instance_type.type
    values = { default_vcpus = 4, instance_storage_supported = true, maximum_network_interfaces = 4, memory_size = 8192, supported_architectures = ["x86_64"] }
  }

  variables {
    data_volume = { source = "instance-store" }
    warm_pool   = {}
  }

  expect_failures = [var.data_volume]
}

run "type_without_an_instance_store" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    data_volume = { source = "instance-store" }
  }

  expect_failures = [data.aws_ec2_instance_type.type["c5.xlarge"], data.aws_ec2_instance_type.type["c6i.xlarge"]]
}

run "type_too_large_to_hibernate" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  override_data {
    target = data.aws_ec2_instance_type.type
    values = { default_vcpus = 4, hibernation_supported = true, maximum_network_interfaces = 4, memory_size = 32768, supported_architectures = ["x86_64"] }
  }

  variables {
    warm_pool = { state = "Hibernated" }
  }

  expect_failures = [data.aws_ec2_instance_type.type["c5.xlarge"], data.aws_ec2_instance_type.type["c6i.xlarge"]]
}

run "type_of_another_architecture" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  override_data {
    target = data.aws_ec2_instance_type.type["c6i.xlarge"]
    values = { default_vcpus = 4, maximum_network_interfaces = 4, memory_size = 8192, supported_architectures = ["arm64"] }
  }

  expect_failures = [data.aws_ec2_instance_type.type["c6i.xlarge"]]
}

run "type_with_a_gpu" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  override_data {
    target = data.aws_ec2_instance_type.type
    values = { default_vcpus = 4, gpus = [{ count = 1, manufacturer = "NVIDIA", memory_size = 16384, name = "T4" }], maximum_network_interfaces = 4, memory_size = 16384, supported_architectures = ["x86_64"] }
  }

  expect_failures = [check.gpu]
}

run "too_many_variables_of_the_agent" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    agent = { environment = { for number in range(300) : "ECS_A_LONG_VARIABLE_${number}" => "x" } }
  }

  expect_failures = [aws_launch_template.windows]
}

run "share_and_data_volume_at_one_place" {
  command = plan

  module {
    source = "./modules/cluster"
  }

  variables {
    data_volume = {}
    shared_storage = {
      container_path  = "d:\\shared"
      credentials_arn = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:share-AbCdEf"
      domain          = "corp.example.com"
      file_system_id  = "fs-0123456789abcdef0"
    }
  }

  expect_failures = [aws_ecs_task_definition.workload["ber"]]
}

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

run "warm_pool_with_a_scratch_volume" {
  module {
    source = "./modules/cluster"
  }

  variables {
    data_volume = { size_gib = 200 }
    root_volume = { initialization_rate_mib = 200 }
    warm_pool   = { max_prepared = 2, min_size = 1 }
  }

  assert {
    condition     = jsonencode(aws_autoscaling_group.windows.warm_pool) == jsonencode([{ instance_reuse_policy = [], max_group_prepared_capacity = 2, min_size = 1, pool_state = "Stopped" }])
    error_message = "The pool has its own bounds, and instances do not go back to it: ${jsonencode(aws_autoscaling_group.windows.warm_pool)}."
  }

  assert {
    condition = alltrue([
      for hook in concat(tolist(aws_autoscaling_group.windows.initial_lifecycle_hook), values(aws_autoscaling_lifecycle_hook.launch)) :
      [hook.name, hook.default_result, hook.heartbeat_timeout, hook.lifecycle_transition] == ["initialised", "ABANDON", 1200, "autoscaling:EC2_INSTANCE_LAUNCHING"]
    ]) && length(aws_autoscaling_group.windows.initial_lifecycle_hook) == 1 && length(aws_autoscaling_lifecycle_hook.launch) == 1
    error_message = "The launch hook is there from the first instance on, in a new group and in one that exists."
  }

  assert {
    condition = {
      for statement in data.aws_iam_policy_document.instance.statement : statement.sid => join(" ", concat(tolist(statement.actions), tolist(statement.resources)))
      if anytrue([for action in statement.actions : startswith(action, "autoscaling:")])
      } == {
      SayReady     = "autoscaling:CompleteLifecycleAction arn:aws-cn:autoscaling:cn-north-1:123456789012:autoScalingGroup:*:autoScalingGroupName/winbatch-test"
      SayUnhealthy = "autoscaling:SetInstanceHealth arn:aws-cn:autoscaling:cn-north-1:123456789012:autoScalingGroup:*:autoScalingGroupName/winbatch-test"
    }
    error_message = "Instances may say that they are ready, or that they never will be, in this group only."
  }

  assert {
    condition     = can(regex("(?s)'ECS_WARM_POOLS_CHECK', 'true'.*Initialize-ECSAgent.*-LifecycleHookName 'initialised' -AutoScalingGroupName 'winbatch-test' .*-Region 'cn-north-1'.*AddSeconds\\(20\\).*Register-ScheduledTask.*<persist>true</persist>", base64decode(aws_launch_template.windows.user_data)))
    error_message = "The agent waits until the instance is in service, and each start of the instance initialises it and completes the hook."
  }

  assert {
    condition = jsonencode({
      for mapping in aws_launch_template.windows.block_device_mappings : mapping.device_name => [mapping.ebs[0].volume_size, mapping.ebs[0].volume_initialization_rate == 200, mapping.ebs[0].encrypted]
    }) == jsonencode({ "/dev/sda1" = [100, true, "true"], xvdd = [200, false, "true"] })
    error_message = "A data volume beside the root volume, whose blocks are fetched ahead."
  }

  assert {
    condition     = can(regex("(?s)-notlike \\$instanceStore.*icacls.exe 'D:\\\\' /grant.*Initialize-ECSAgent", base64decode(aws_launch_template.windows.user_data)))
    error_message = "The volume is formatted and open to containers before the agent takes the first."
  }

  assert {
    condition = (
      jsondecode(aws_ecs_task_definition.workload["ber"].container_definitions)[0].mountPoints == [{ sourceVolume = "scratch", containerPath = "D:\\", readOnly = false }]
      && [for volume in aws_ecs_task_definition.workload["ber"].volume : [volume.name, volume.host_path]] == [["scratch", "D:\\"]]
      && { for variable in jsondecode(aws_ecs_task_definition.workload["ber"].container_definitions)[0].environment : variable.name => variable.value if startswith(variable.name, "T") && variable.name != "THREADS" } == { TEMP = "D:\\", TMP = "D:\\" }
    )
    error_message = "Every container sees the drive and keeps its temporary files there."
  }

  assert {
    condition     = length(aws_launch_template.windows.hibernation_options) == 0
    error_message = "Only a pool that hibernates needs the option."
  }
}

run "hibernating_pool_with_docker_on_a_volume" {
  module {
    source = "./modules/cluster"
  }

  variables {
    data_volume = { use = "docker" }
    warm_pool   = { state = "Hibernated" }
  }

  assert {
    condition     = aws_launch_template.windows.hibernation_options[0].configured
    error_message = "Instances hibernate only when they were launched for it."
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.windows.user_data), "'data-root' -NotePropertyValue 'D:\\docker'") && !strcontains(base64decode(aws_launch_template.windows.user_data), "icacls")
    error_message = "Docker keeps its data on the volume."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.workload["ber"].container_definitions)[0].mountPoints == [] && length(aws_ecs_task_definition.workload["ber"].volume) == 0
    error_message = "Containers do not see Docker's volume."
  }
}

run "instance_store" {
  module {
    source = "./modules/cluster"
  }

  override_data {
    target = data.aws_ec2_instance_type.type
    values = { default_vcpus = 4, instance_storage_supported = true, maximum_network_interfaces = 4, memory_size = 8192, supported_architectures = ["x86_64"] }
  }

  variables {
    data_volume = { source = "instance-store" }
    warm_pool   = { state = "Running" }
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.windows.user_data), "-like $instanceStore") && length(aws_launch_template.windows.block_device_mappings) == 1
    error_message = "The instance's own disk is D:, and no volume is paid for."
  }
}

run "own_ami" {
  module {
    source = "./modules/cluster"
  }

  variables {
    windows = { ami_id = "ami-0123456789abcdef0" }
  }

  assert {
    condition     = aws_launch_template.windows.image_id == "ami-0123456789abcdef0" && length(data.aws_ssm_parameter.ami) == 0
    error_message = "An AMI by its id is used as it stands."
  }

  assert {
    condition     = length(aws_autoscaling_lifecycle_hook.launch) == 0 && !strcontains(base64decode(aws_launch_template.windows.user_data), "ASLifecycle") && length(aws_ecs_task_definition.workload["ber"].volume) == 0
    error_message = "Without a pool there is no hook, and without a volume nothing is mounted."
  }
}

run "pool_with_amazons_ami" {
  module {
    source = "./modules/cluster"
  }

  variables {
    warm_pool = { max_prepared = 2 }
    windows   = {}
  }

  assert {
    condition     = aws_launch_template.windows.image_id == "ami-0123456789abcdef0"
    error_message = "A group with a warm pool takes no template that names a parameter: the AMI is the parameter's of the last apply."
  }
}

run "own_ami_by_parameter" {
  module {
    source = "./modules/cluster"
  }

  variables {
    windows = { ami_parameter = "/imagebuilder/winbatch-test/ami", edition = "Full" }
  }

  override_data {
    target = data.aws_ami.own
    values = { id = "ami-0123456789abcdef0", architecture = "x86_64", platform = "windows", tags = { windows = "2022-Full" } }
  }

  assert {
    condition     = aws_launch_template.windows.image_id == "resolve:ssm:/imagebuilder/winbatch-test/ami"
    error_message = "Each launch takes the newest AMI of one's own."
  }
}

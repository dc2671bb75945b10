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

run "defaults" {
  module {
    source = "./modules/cluster"
  }

  assert {
    condition     = keys(output.workloads) == ["ber"]
    error_message = "A workload without an image has no task definition."
  }

  assert {
    condition = {
      for variable in jsondecode(aws_ecs_task_definition.workload["ber"].container_definitions)[0].environment : variable.name => variable.value
    } == { AWS_REGION = "cn-north-1", THREADS = "2", WINBATCH_SLOTS = "2" }
    error_message = "A container is told its region, its slots (whole vCPUs) and what its workload adds."
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.workload["ber"].container_definitions)[0].cpu == 2560 && jsondecode(aws_ecs_task_definition.workload["ber"].container_definitions)[0].memory == 6144
    error_message = "Windows on EC2 takes cpu and memory from the container."
  }

  assert {
    condition     = aws_ecs_task_definition.workload["ber"].network_mode == "awsvpc" && aws_ecs_task_definition.workload["ber"].runtime_platform[0].operating_system_family == "WINDOWS_SERVER_2022_CORE"
    error_message = "Containers run on the instances' Windows with a network interface of their own."
  }

  assert {
    condition     = aws_launch_template.windows.image_id == "resolve:ssm:/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-ECS_Optimized/image_id"
    error_message = "Each launch takes the newest AMI of the chosen Windows."
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.windows.user_data), "Initialize-ECSAgent -Cluster 'winbatch-test' -EnableTaskIAMRole -EnableTaskENI -AwsvpcBlockIMDS -LoggingDrivers '[\"json-file\",\"awslogs\"]'")
    error_message = "The agent joins the cluster, gives ECS tasks roles and interfaces, and blocks the way to the metadata."
  }

  # The agent reads its variables when it starts.
  assert {
    condition     = can(regex("(?s)SetEnvironmentVariable\\('ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE', 'true', 'Machine'\\).*Initialize-ECSAgent", base64decode(aws_launch_template.windows.user_data)))
    error_message = "The agent's variables are set for the machine, before it starts."
  }

  assert {
    condition     = aws_autoscaling_group.windows.min_size == 0 && aws_autoscaling_group.windows.max_size == 3 && !aws_autoscaling_group.windows.protect_from_scale_in && aws_autoscaling_group.windows.force_delete
    error_message = "The group starts at zero, and the DAG can bring it back there."
  }

  assert {
    condition     = [for override in aws_autoscaling_group.windows.mixed_instances_policy[0].launch_template[0].override : override.instance_type] == ["c5.xlarge", "c6i.xlarge"]
    error_message = "Auto Scaling chooses from the instance types in their order."
  }

  assert {
    condition     = output.instance_types[0].usd_per_hour == 0.378 && output.instance_types[1].usd_per_hour == null
    error_message = "Whoever shows a job's cost is told the price of each instance type that has one."
  }

  assert {
    condition     = aws_ecs_capacity_provider.windows.auto_scaling_group_provider[0].managed_scaling[0].status == "DISABLED"
    error_message = "ECS does not scale the group unless somebody says so."
  }
}

run "a_role_for_each_workload" {
  module {
    source = "./modules/cluster"
  }

  variables {
    workloads = {
      ber = { cpu = 512, memory = 512, environment = {}, dags = ["ber", "curve"], inputs = ["sim/inputs"] }
      fft = { cpu = 512, memory = 512, environment = {}, dags = ["curve"] }
      new = { cpu = 512, memory = 512, environment = {} }
    }
  }

  assert {
    condition = {
      for workload, document in data.aws_iam_policy_document.workload : workload => {
        for statement in document.statement : statement.sid => [for resource in statement.resources : trimprefix(resource, "arn:aws-cn:s3:::data/")]
      }
      } == {
      ber = {
        ListOwnJobs = ["arn:aws-cn:s3:::data"]
        WorkOnOwnJobs = [
          "jobs/ber/*", "jobs/curve/*", "jobs/results/ber/*", "jobs/results/curve/*", "sim/aggregate_results/ber/*", "sim/aggregate_results/curve/*",
          "sim/ber/*", "sim/curve/*", "sim/task_results/ber/*", "sim/task_results/curve/*",
        ]
        ReadInputs       = ["sim/inputs/*"]
        UseKeyForObjects = [var.kms_key_arn]
      }
      fft = {
        ListOwnJobs      = ["arn:aws-cn:s3:::data"]
        WorkOnOwnJobs    = ["jobs/curve/*", "jobs/results/curve/*", "sim/aggregate_results/curve/*", "sim/curve/*", "sim/task_results/curve/*"]
        UseKeyForObjects = [var.kms_key_arn]
      }
      new = { UseKeyForObjects = [var.kms_key_arn] }
    }
    error_message = "A workload's role reaches the jobs of its DAGs, reads its inputs, and reaches nothing else of the data."
  }

  assert {
    condition = toset(one([
      for statement in data.aws_iam_policy_document.workload["fft"].statement : one(statement.condition).values if statement.sid == "ListOwnJobs"
    ])) == toset(["jobs/curve/*", "jobs/results/curve/*", "sim/aggregate_results/curve/*", "sim/curve/*", "sim/task_results/curve/*"])
    error_message = "Names are listed where objects are read."
  }

  assert {
    condition     = { for workload, role in aws_iam_role.workload : workload => role.name } == { ber = "winbatch-test-task-ber", fft = "winbatch-test-task-fft", new = "winbatch-test-task-new" }
    error_message = "A role is named after its workload."
  }

  assert {
    condition     = output.workloads["ber"].dags == tolist(["ber", "curve"]) && output.workloads["ber"].inputs == tolist(["sim/inputs"])
    error_message = "Who plans and releases is told what the role knows."
  }
}

run "another_windows_scaled_by_ecs_on_spot" {
  module {
    source = "./modules/cluster"
  }

  variables {
    agent           = { environment = { ECS_IMAGE_PULL_BEHAVIOR = "prefer-cached", ECS_CONTAINER_STOP_TIMEOUT = "it's" } }
    managed_scaling = { enabled = true }
    purchase        = { on_demand_percentage = 0 }
    windows         = { edition = "Full", version = "2019" }
  }

  assert {
    condition     = aws_ecs_task_definition.workload["ber"].runtime_platform[0].operating_system_family == "WINDOWS_SERVER_2019_FULL" && strcontains(aws_launch_template.windows.image_id, "Windows_Server-2019-English-Full-ECS_Optimized")
    error_message = "One variable chooses the Windows of hosts and containers: they must match."
  }

  assert {
    condition     = aws_autoscaling_group.windows.protect_from_scale_in && aws_ecs_capacity_provider.windows.auto_scaling_group_provider[0].managed_termination_protection == "ENABLED"
    error_message = "When ECS scales, it keeps the instances that work."
  }

  assert {
    condition     = aws_autoscaling_group.windows.mixed_instances_policy[0].instances_distribution[0].on_demand_percentage_above_base_capacity == 0
    error_message = "All instances are Spot when somebody says so."
  }

  assert {
    condition     = strcontains(base64decode(aws_launch_template.windows.user_data), "'ECS_IMAGE_PULL_BEHAVIOR', 'prefer-cached', 'Machine'") && strcontains(base64decode(aws_launch_template.windows.user_data), "'it''s'")
    error_message = "The agent's own variables win, and their quotes do not end the script's."
  }
}

run "with_a_share" {
  module {
    source = "./modules/cluster"
  }

  variables {
    shared_storage = {
      container_path          = "C:\\shared"
      credentials_arn         = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:share-AbCdEf"
      credentials_kms_key_arn = "arn:aws-cn:kms:cn-north-1:123456789012:key/11111111-1111-1111-1111-111111111111"
      domain                  = "corp.example.com"
      file_system_id          = "fs-0123456789abcdef0"
    }
  }

  assert {
    condition     = jsondecode(aws_ecs_task_definition.workload["ber"].container_definitions)[0].mountPoints == [{ sourceVolume = "shared-storage", containerPath = "C:\\shared", readOnly = false }]
    error_message = "Containers see the share as a folder."
  }

  assert {
    condition = [
      for volume in aws_ecs_task_definition.workload["ber"].volume : [
        volume.name, volume.fsx_windows_file_server_volume_configuration[0].file_system_id, volume.fsx_windows_file_server_volume_configuration[0].root_directory,
        volume.fsx_windows_file_server_volume_configuration[0].authorization_config[0].domain, volume.fsx_windows_file_server_volume_configuration[0].authorization_config[0].credentials_parameter,
      ]
    ] == [["shared-storage", "fs-0123456789abcdef0", "share", "corp.example.com", "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:share-AbCdEf"]]
    error_message = "The agent mounts the share as the domain's user of the secret."
  }

  assert {
    condition = {
      for statement in data.aws_iam_policy_document.execution.statement : statement.sid => join(" ", concat(tolist(statement.actions), tolist(statement.resources)))
      if strcontains(statement.sid, "Share")
      } == {
      ReadShareCredentials    = "secretsmanager:GetSecretValue arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:share-AbCdEf"
      DecryptShareCredentials = "kms:Decrypt arn:aws-cn:kms:cn-north-1:123456789012:key/11111111-1111-1111-1111-111111111111"
      FindShare               = "fsx:DescribeFileSystems *"
    }
    error_message = "The execution role reads that secret and no other."
  }
}

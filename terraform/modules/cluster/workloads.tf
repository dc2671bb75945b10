locals {
  # A workload whose image nobody has pushed yet has no task definition.
  runnable = { for workload, size in var.workloads : workload => size if contains(keys(var.images), workload) }

  # What the smallest of the instance types gives to ECS tasks. Of its memory the agent sees about 95 %.
  room = {
    cpu    = min([for type in data.aws_ec2_instance_type.type : type.default_vcpus * 1024]...)
    memory = min([for type in data.aws_ec2_instance_type.type : floor(type.memory_size * 0.95) - var.agent.reserved_memory_mib]...)
  }

  # ECS mounts a drive of the host's only whole and under its own letter.
  scratch = [for volume in var.data_volume[*] : "D:\\" if volume.use == "scratch"]
  share   = "shared-storage"
  mounts = concat(
    [for drive in local.scratch : { sourceVolume = "scratch", containerPath = drive, readOnly = false }],
    [for shared in var.shared_storage[*] : { sourceVolume = local.share, containerPath = shared.container_path, readOnly = false }],
  )
}

resource "aws_cloudwatch_log_group" "workload" {
  for_each = var.workloads

  name              = "/winbatch/${local.environment}/${each.key}"
  kms_key_id        = var.kms_key_arn
  retention_in_days = var.log_retention_days
}

resource "aws_ecs_task_definition" "workload" {
  #checkov:skip=CKV_AWS_336: until 2027-05-31: ECS has no read-only root file system for Windows containers
  for_each = local.runnable

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["EC2"]
  # Each ECS task has a network interface of its own, and so no way to the host's metadata.
  network_mode       = "awsvpc"
  execution_role_arn = aws_iam_role.execution.arn
  task_role_arn      = aws_iam_role.workload[each.key].arn
  # Jobs that run, and DAG releases that are served again, need the revisions that they were released with.
  skip_destroy = true

  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "WINDOWS_SERVER_${var.windows.version}_${upper(var.windows.edition)}"
  }

  # Windows on EC2 ignores the size of an ECS task: the container has it. It ignores `user` and `readonlyRootFilesystem` too:
  # the image says who runs.
  container_definitions = jsonencode([
    {
      name      = each.key
      image     = var.images[each.key]
      cpu       = each.value.cpu
      memory    = each.value.memory
      essential = true
      environment = [
        for name, value in merge({ for pair in setproduct(["TEMP", "TMP"], local.scratch) : pair[0] => pair[1] }, each.value.environment, {
          AWS_REGION     = var.region
          WINBATCH_SLOTS = tostring(max(1, floor(each.value.cpu / 1024)))
        }) : { name = name, value = value }
      ]
      logConfiguration = {
        logDriver = "awslogs"
        options = {
          # A worker does not stop because its log cannot be delivered: results lie in S3, and a log may have holes. The buffer is what AWS
          # measured no loss with ("Preventing log loss with non-blocking mode in the AWSLogs container log driver").
          mode                  = "non-blocking"
          max-buffer-size       = "25m"
          awslogs-group         = aws_cloudwatch_log_group.workload[each.key].name
          awslogs-region        = var.region
          awslogs-stream-prefix = each.key
        }
      }
      mountPoints = local.mounts
    },
  ])

  dynamic "volume" {
    for_each = toset(local.scratch)

    content {
      name      = "scratch"
      host_path = volume.value
    }
  }

  # The agent mounts the share on the instance, as a user of its domain; containers see a folder.
  dynamic "volume" {
    for_each = var.shared_storage[*]

    content {
      name = local.share

      fsx_windows_file_server_volume_configuration {
        file_system_id = volume.value.file_system_id
        root_directory = "share"

        authorization_config {
          credentials_parameter = volume.value.credentials_arn
          domain                = volume.value.domain
        }
      }
    }
  }

  lifecycle {
    precondition {
      condition     = length(local.scratch) == 0 || !startswith(upper(try(var.shared_storage.container_path, "")), "D:")
      error_message = "The data volume is D: in every container: give shared_storage another container_path, or data_volume.use \"docker\"."
    }

    precondition {
      condition     = each.value.cpu <= local.room.cpu && each.value.memory <= local.room.memory
      error_message = "Workload ${each.key} asks for cpu ${each.value.cpu} and memory ${each.value.memory} MiB, but the smallest of the instance types has room for ${local.room.cpu} and ${local.room.memory}. Make the workload smaller or choose larger instance_types."
    }
  }
}

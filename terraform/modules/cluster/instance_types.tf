# What the instance types and AMIs are, and what they cannot be.

data "aws_ec2_instance_type" "type" {
  for_each = toset(var.instance_types)

  instance_type = each.value

  lifecycle {
    postcondition {
      condition     = contains(self.supported_architectures, "x86_64")
      error_message = "Instance type ${each.value} is not x86_64, and Windows runs on nothing else: choose instance_types with processors of Intel or AMD."
    }

    postcondition {
      condition     = try(var.data_volume.source, "") != "instance-store" || self.instance_storage_supported
      error_message = "Instance type ${each.value} has no instance store: choose instance_types that have one, such as c5d.xlarge, or data_volume.source \"ebs\"."
    }

    postcondition {
      # Windows hibernates with up to 16 GiB, which the root volume takes in beside Windows itself.
      condition     = try(var.warm_pool.state, "") != "Hibernated" || self.hibernation_supported && self.memory_size <= 16384 && var.root_volume.size_gib >= 50 + self.memory_size / 1024
      error_message = "Instance type ${each.value} cannot hibernate with Windows: that takes a type that supports it, at most 16 GiB of memory, and a root_volume.size_gib of 50 and the memory's GiB. Choose other instance_types or warm_pool.state \"Stopped\"."
    }
  }
}

# A warning and no refusal: a host may have other uses for its GPU.
check "gpu" {
  assert {
    condition     = alltrue([for type in data.aws_ec2_instance_type.type : length(type.gpus) == 0])
    error_message = "An instance type has a GPU, but ECS gives Windows containers no devices (aws/containers-roadmap#1552): containers will not see it."
  }
}

# Fails at plan when there is no such parameter, and so no such Windows.
data "aws_ssm_parameter" "ami" {
  for_each = toset(local.ami_parameter[*])

  name = each.value
}

# Of an AMI of one's own nothing says which Windows it holds, but the tag that modules/image_builder writes.
data "aws_ami" "own" {
  for_each = {
    for source, id in {
      ami_id        = var.windows.ami_id
      ami_parameter = var.windows.ami_parameter == null ? null : data.aws_ssm_parameter.ami[var.windows.ami_parameter].insecure_value
    } : source => id if id != null
  }

  filter {
    name   = "image-id"
    values = [each.value]
  }

  lifecycle {
    postcondition {
      condition     = self.platform == "windows" && self.architecture == "x86_64"
      error_message = "windows.${each.key}: ${self.id} is no Windows for x86_64."
    }

    postcondition {
      condition     = lookup(self.tags, "windows", local.windows) == local.windows
      error_message = "windows.${each.key}: ${self.id} holds ${lookup(self.tags, "windows", "")}, as its tag says, but windows asks for ${local.windows}: containers of one Windows version do not start on another."
    }
  }
}

locals {
  windows = "${var.windows.version}-${var.windows.edition}"
}

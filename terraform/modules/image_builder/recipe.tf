# What goes into the AMI. Components and recipes cannot change, and one in use cannot go: a change makes new ones beside
# them, so their names carry a digest of what they say.

locals {
  windows = "${var.windows.version}-${var.windows.edition}"
  images  = sort(distinct(values(var.images)))
  parent  = "ssm:/aws/service/ami-windows-latest/Windows_Server-${var.windows.version}-English-${var.windows.edition}-ECS_Optimized/image_id"

  document = yamlencode({
    name          = "pull-images"
    schemaVersion = 1.0
    phases = [
      {
        name = "build"
        steps = [{
          name   = "PullImages"
          action = "ExecutePowerShell"
          inputs = {
            commands = [templatefile("${path.module}/pull_images.ps1.tftpl", {
              images     = local.images
              region     = var.region
              registries = distinct([for image in local.images : split("/", image)[0] if strcontains(image, ".dkr.ecr.")])
            })]
          }
        }]
      },
      {
        # In an instance that was started from the new AMI.
        name = "test"
        steps = [{
          name   = "FindImages"
          action = "ExecutePowerShell"
          inputs = {
            commands = [for image in local.images : "docker image inspect '${image}'; if ($LASTEXITCODE -ne 0) { throw 'Not in the AMI: ${image}' }"]
          }
        }]
      },
    ]
  })
  recipe_digest = substr(sha256(jsonencode([local.document, local.parent, var.volume_gib, var.kms_key_arn])), 0, 8)
}

resource "aws_imagebuilder_component" "images" {
  name                  = "${var.name}-images-${substr(sha256(local.document), 0, 8)}"
  description           = "The container images of ${var.name}, pulled by digest"
  platform              = "Windows"
  supported_os_versions = ["Microsoft Windows Server ${var.windows.version}"]
  version               = "1.0.0"
  data                  = local.document
  kms_key_id            = var.kms_key_arn

  lifecycle {
    create_before_destroy = true

    precondition {
      condition     = length(local.document) <= 16000
      error_message = "Image Builder takes components of up to 16,000 characters: there are too many workloads for one AMI."
    }
  }
}

resource "aws_imagebuilder_image_recipe" "windows" {
  name         = "${var.name}-${local.recipe_digest}"
  description  = "Windows ${local.windows} for ${var.name}"
  parent_image = local.parent
  version      = "1.0.0"

  component {
    component_arn = aws_imagebuilder_component.images.arn
  }

  block_device_mapping {
    device_name = "/dev/sda1"

    ebs {
      delete_on_termination = true
      encrypted             = true
      kms_key_id            = var.kms_key_arn
      volume_size           = var.volume_gib
      volume_type           = "gp3"
    }
  }

  lifecycle {
    create_before_destroy = true
  }
}

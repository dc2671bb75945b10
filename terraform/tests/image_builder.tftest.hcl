mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name        = "winbatch-test"
  region      = "cn-north-1"
  images      = { ber = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/ber@sha256:aaaa", tools = "example.com/tools@sha256:bbbb" }
  kms_key_arn = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_bucket  = { arn = "arn:aws-cn:s3:::data", name = "data" }
  network = {
    https_destinations = { s3 = { prefix_list_id = "pl-0123456789abcdef0" } }
    private_subnet_ids = { a = "subnet-a", b = "subnet-b" }
    vpc_id             = "vpc-0123456789abcdef0"
  }
  repository_arns = ["arn:aws-cn:ecr:cn-north-1:123456789012:repository/ber"]
  tags            = { root = "winbatch" }
}

run "defaults" {
  module {
    source = "./modules/image_builder"
  }

  assert {
    condition     = aws_imagebuilder_image_recipe.windows.parent_image == "ssm:/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-ECS_Optimized/image_id"
    error_message = "Each build starts from AWS's newest."
  }

  assert {
    condition = [
      for line in split("\n", yamldecode(aws_imagebuilder_component.images.data).phases[0].steps[0].inputs.commands[0]) : line if startswith(line, "docker ") || strcontains(line, "| docker ")
      ] == [
      "(Get-ECRLoginCommand -Region 'cn-north-1').Password | docker login --username AWS --password-stdin '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn'",
      "docker pull '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/ber@sha256:aaaa'",
      "docker pull 'example.com/tools@sha256:bbbb'",
      "docker logout '123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn'",
    ]
    error_message = "Every image is pulled by digest; only ECR is logged in to, and no login stays in the AMI."
  }

  assert {
    condition     = length(yamldecode(aws_imagebuilder_component.images.data).phases[1].steps[0].inputs.commands) == 2
    error_message = "An instance of the new AMI is looked at for each image."
  }

  assert {
    condition = (
      one(one(aws_imagebuilder_distribution_configuration.region.distribution).ssm_parameter_configuration).parameter_name == "/imagebuilder/winbatch-test/ami"
      && one(one(aws_imagebuilder_distribution_configuration.region.distribution).ssm_parameter_configuration).data_type == "aws:ec2:image"
      && one(one(aws_imagebuilder_distribution_configuration.region.distribution).ami_distribution_configuration).ami_tags.windows == "2022-Core"
      && output.parameter == "/imagebuilder/winbatch-test/ami"
    )
    error_message = "A parameter names the newest AMI, and a tag its Windows."
  }

  assert {
    condition     = one(aws_imagebuilder_image_recipe.windows.block_device_mapping).ebs[0].kms_key_id == var.kms_key_arn && one(one(aws_imagebuilder_distribution_configuration.region.distribution).ami_distribution_configuration).kms_key_id == var.kms_key_arn
    error_message = "The AMI is encrypted with the environment's key."
  }

  assert {
    condition     = length(aws_imagebuilder_image_pipeline.ami.schedule) == 0
    error_message = "The pipeline runs when somebody starts it."
  }
}

run "new_images_make_a_new_recipe" {
  module {
    source = "./modules/image_builder"
  }

  variables {
    images   = { ber = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/ber@sha256:cccc" }
    schedule = "rate(7 days)"
    windows  = { edition = "Full", version = "2019" }
  }

  assert {
    condition     = aws_imagebuilder_image_recipe.windows.name != run.defaults.recipe && strcontains(aws_imagebuilder_image_recipe.windows.parent_image, "2019-English-Full")
    error_message = "Recipes cannot change: another content has another name."
  }

  assert {
    condition     = aws_imagebuilder_image_pipeline.ami.schedule[0].schedule_expression == "rate(7 days)"
    error_message = "The pipeline runs on its own when somebody says so."
  }
}

run "nothing_to_bake" {
  command = plan

  module {
    source = "./modules/image_builder"
  }

  variables {
    images     = {}
    schedule   = "weekly"
    volume_gib = 30
  }

  expect_failures = [var.images, var.schedule, var.volume_gib]
}

run "image_that_ends_the_quotes" {
  command = plan

  module {
    source = "./modules/image_builder"
  }

  variables {
    images = { ber = "x'; Remove-Item C: #@sha256:aaaa" }
  }

  expect_failures = [var.images]
}

run "too_many_images" {
  command = plan

  module {
    source = "./modules/image_builder"
  }

  variables {
    images = { for number in range(200) : "w${number}" => "example.com/a-workload-${number}@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
  }

  expect_failures = [aws_imagebuilder_component.images]
}

# A run breaks one rule of many variables at once, because each run starts the provider anew.
run "what_no_other_module_hands_over" {
  command = plan

  module {
    source = "./modules/image_builder"
  }

  variables {
    instance_type            = "large"
    kms_key_arn              = "alias/winbatch-test"
    log_bucket               = { arn = "data", name = "data" }
    name                     = "winbatch-my-env"
    network                  = { https_destinations = { both = { cidr_ipv4 = "10.0.0.0/8", prefix_list_id = "pl-0123456789abcdef0" } }, private_subnet_ids = { a = "subnet-a", b = "subnet-b" }, vpc_id = "vpc-0a" }
    permissions_boundary_arn = "winbatch-test-boundary"
    region                   = "cn-north-1a"
    repository_arns          = ["ber"]
    windows                  = { version = "2016" }
  }

  expect_failures = [
    var.instance_type,
    var.kms_key_arn,
    var.log_bucket,
    var.name,
    var.network,
    var.permissions_boundary_arn,
    var.region,
    var.repository_arns,
    var.windows,
  ]
}

run "one_subnet" {
  command = plan

  module {
    source = "./modules/image_builder"
  }

  variables {
    network = { https_destinations = { s3 = { prefix_list_id = "pl-0123456789abcdef0" } }, private_subnet_ids = { a = "subnet-a" }, vpc_id = "vpc-0a" }
  }

  expect_failures = [
    var.network,
  ]
}

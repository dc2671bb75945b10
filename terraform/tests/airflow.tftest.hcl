mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name               = "winbatch-test"
  region             = "cn-north-1"
  auto_scaling_group = "winbatch-test"
  buckets = {
    dags = { arn = "arn:aws-cn:s3:::dags", name = "dags" }
    data = { arn = "arn:aws-cn:s3:::data", name = "data" }
  }
  cluster            = "winbatch-test"
  data_prefixes      = ["jobs", "sim"]
  deployment         = "{\"schema\": 1}"
  families           = ["winbatch-test-ber"]
  https_destinations = { internet = { cidr_ipv4 = "0.0.0.0/0" } }
  kms_key_arn        = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_retention_days = 365
  private_subnet_ids = { a = "subnet-a", b = "subnet-b", c = "subnet-c" }
  task_role_arns     = { execution = "arn:aws-cn:iam::123456789012:role/e", task = "arn:aws-cn:iam::123456789012:role/t" }
  vpc_id             = "vpc-0123456789abcdef0"
}

run "defaults" {
  module {
    source = "./modules/airflow"
  }

  assert {
    condition     = aws_mwaa_environment.mwaa.airflow_version == "3.0.6" && aws_mwaa_environment.mwaa.webserver_access_mode == "PRIVATE_ONLY"
    error_message = "Airflow 3.0.6, and its page inside the VPC."
  }

  assert {
    condition     = aws_mwaa_environment.mwaa.network_configuration[0].subnet_ids == toset(["subnet-a", "subnet-b"])
    error_message = "MWAA takes exactly two subnets."
  }

  assert {
    condition     = aws_mwaa_environment.mwaa.requirements_s3_object_version == aws_s3_object.requirements.version_id
    error_message = "MWAA ignores new requirements unless it is told their object version."
  }

  assert {
    condition = alltrue([for kind in ["dag_processing_logs", "scheduler_logs", "task_logs", "webserver_logs", "worker_logs"] :
    aws_mwaa_environment.mwaa.logging_configuration[0][kind][0].enabled])
    error_message = "All five logs are on."
  }

  assert {
    condition = toset(output.log_groups) == toset([
      for kind in ["DAGProcessing", "Scheduler", "Task", "WebServer", "Worker"] : "airflow-winbatch-test-${kind}"
    ])
    error_message = "The log groups that MWAA would make are ours, so that they have a key, an end, and go with destroy."
  }

  assert {
    condition     = aws_s3_object.deployment.key == "dags/deployment.json" && aws_s3_object.deployment.content == "{\"schema\": 1}"
    error_message = "deployment.json lies beside the DAGs."
  }
}

run "options" {
  module {
    source = "./modules/airflow"
  }

  variables {
    configuration         = { "core.dags_are_paused_at_creation" = "True", "core.default_task_retries" = "2" }
    environment_class     = "mw1.micro"
    scale                 = { max_webservers = 1, max_workers = 1, min_webservers = 1, min_workers = 1, schedulers = 1 }
    webserver_access_mode = "PUBLIC_ONLY"
  }

  assert {
    condition = (
      aws_mwaa_environment.mwaa.airflow_configuration_options["core.dags_are_paused_at_creation"] == "True" &&
      aws_mwaa_environment.mwaa.airflow_configuration_options["core.default_task_retries"] == "2" &&
      aws_mwaa_environment.mwaa.airflow_configuration_options["dag_processor.refresh_interval"] == "30"
    )
    error_message = "An environment's own options win over the module's and add to them."
  }

  assert {
    condition     = aws_mwaa_environment.mwaa.webserver_access_mode == "PUBLIC_ONLY" && aws_mwaa_environment.mwaa.schedulers == 1
    error_message = "Class, scale and access are the environment's choice."
  }
}

run "refusals" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    airflow_version       = "2.10.5"
    configuration         = { core = "x" }
    environment_class     = "mw1.tiny"
    log_level             = "LOUD"
    webserver_access_mode = "PUBLIC"
  }

  expect_failures = [
    var.airflow_version,
    var.configuration,
    var.environment_class,
    var.log_level,
    var.webserver_access_mode,
  ]
}

# One of the rules on scale looks at the class, so none is asked while that one is refused.
run "more_workers_at_least_than_at_most" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    scale = { min_workers = 3, max_workers = 2 }
  }

  expect_failures = [var.scale]
}

run "six_web_servers" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    scale = { max_webservers = 6 }
  }

  expect_failures = [var.scale]
}

run "micro_with_two_of_each" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    environment_class = "mw1.micro"
  }

  expect_failures = [var.scale]
}

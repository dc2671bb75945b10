mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name   = "winbatch-test"
  region = "cn-north-1"
  buckets = {
    dags = { arn = "arn:aws-cn:s3:::dags", name = "dags" }
    data = { arn = "arn:aws-cn:s3:::data", name = "data" }
  }
  data_prefixes      = ["jobs", "sim"]
  deployment         = "{\"schema\": 1}"
  https_destinations = { internet = { cidr_ipv4 = "0.0.0.0/0" } }
  kms_key_arn        = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  log_retention_days = 365
  metrics_log_group  = "/winbatch/test/engine/metrics"
  private_subnet_ids = { a = "subnet-a", b = "subnet-b", c = "subnet-c" }
  vpc_id             = "vpc-0123456789abcdef0"
  webserver          = { api_only = true }
  workers = {
    auto_scaling_group = "winbatch-test"
    cluster            = "winbatch-test"
    families           = ["winbatch-test-ber"]
    role_arns          = ["arn:aws-cn:iam::123456789012:role/e", "arn:aws-cn:iam::123456789012:role/t"]
  }
}

run "defaults" {
  module {
    source = "./modules/airflow"
  }

  assert {
    condition     = aws_mwaa_environment.mwaa.airflow_version == "3.2.1" && aws_mwaa_environment.mwaa.webserver_access_mode == "PRIVATE_ONLY"
    error_message = "Airflow 3.2.1, and its page inside the VPC."
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
    condition     = aws_mwaa_environment.mwaa.startup_script_s3_path == null && length(aws_s3_object.startup_script) == 0
    error_message = "No startup script is uploaded unless there is one."
  }

  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.page) == 0
    error_message = "Nobody is let in to the page who is not named."
  }

  assert {
    condition     = [for count in ["max_webservers", "max_workers", "min_webservers", "min_workers", "schedulers"] : aws_mwaa_environment.mwaa[count]] == [2, 2, 2, 1, 2]
    error_message = "A class above mw1.micro has two of each, and one worker when idle."
  }

  assert {
    condition     = aws_iam_role.airflow.permissions_boundary == null
    error_message = "The role has no boundary unless there is one."
  }

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.airflow : group.retention_in_days == 365 && group.kms_key_id == var.kms_key_arn])
    error_message = "Airflow's logs have a key and an end."
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
    configuration            = { "core.dags_are_paused_at_creation" = "True", "core.default_task_retries" = "2" }
    environment_class        = "mw1.micro"
    permissions_boundary_arn = "arn:aws-cn:iam::123456789012:policy/deployment/winbatch-test-boundary"
    startup_script           = "#!/bin/sh\nexport A=1\n"
    webserver                = { access_mode = "PUBLIC_ONLY" }
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
    condition     = aws_mwaa_environment.mwaa.webserver_access_mode == "PUBLIC_ONLY"
    error_message = "The page is public by choice."
  }

  assert {
    condition     = alltrue([for count in ["max_webservers", "max_workers", "min_webservers", "min_workers", "schedulers"] : aws_mwaa_environment.mwaa[count] == 1])
    error_message = "MWAA fixes everything at 1 for mw1.micro."
  }

  assert {
    condition = (
      aws_mwaa_environment.mwaa.startup_script_s3_path == "startup.sh" &&
      aws_mwaa_environment.mwaa.startup_script_s3_object_version == aws_s3_object.startup_script[0].version_id
    )
    error_message = "MWAA ignores a new startup script unless it is told its object version."
  }

  assert {
    condition     = aws_iam_role.airflow.permissions_boundary == "arn:aws-cn:iam::123456789012:policy/deployment/winbatch-test-boundary"
    error_message = "The role carries the boundary."
  }
}

run "a_way_in_to_the_private_page" {
  module {
    source = "./modules/airflow"
  }

  variables {
    scale     = { max_workers = 25, min_workers = 3, max_webservers = 5, schedulers = 5 }
    webserver = { cidrs = { vpn = "10.8.0.0/16" }, security_groups = { jump = "sg-0123456789abcdef0" } }
  }

  assert {
    condition     = aws_mwaa_environment.mwaa.webserver_access_mode == "PRIVATE_ONLY"
    error_message = "The page stays private."
  }

  assert {
    condition = jsonencode({ for name, rule in aws_vpc_security_group_ingress_rule.page :
      name => [rule.cidr_ipv4, rule.referenced_security_group_id, rule.from_port, rule.to_port]
      }) == jsonencode({
      group-jump  = [null, "sg-0123456789abcdef0", 443, 443]
      network-vpn = ["10.8.0.0/16", null, 443, 443]
    })
    error_message = "Who is named is let in to the page's port, and to nothing else."
  }

  assert {
    condition     = aws_mwaa_environment.mwaa.min_workers == 3 && aws_mwaa_environment.mwaa.max_workers == 25 && aws_mwaa_environment.mwaa.min_webservers == 2
    error_message = "What is given is taken, the rest has its default."
  }
}

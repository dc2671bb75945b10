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

# A run breaks one rule of several variables at once, because each run starts the provider anew. One of the rules on scale looks
# at the class, so none is asked while that one is refused.
run "refusals" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    airflow_version    = "2.10.5"
    configuration      = { core = "x" }
    environment_class  = "mw1.tiny"
    log_level          = "LOUD"
    private_subnet_ids = { a = "subnet-a" }
    startup_script     = "export A=1"
  }

  expect_failures = [
    var.airflow_version,
    var.configuration,
    var.environment_class,
    var.log_level,
    var.private_subnet_ids,
    var.startup_script,
  ]
}

run "private_endpoint_of_an_old_airflow" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    airflow_version = "3.0.6"
    webserver       = { access_mode = "PUBLIC_AND_PRIVATE" }
  }

  expect_failures = [var.webserver]
}

run "more_workers_at_least_than_at_most_and_no_way_in" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    scale     = { min_workers = 3, max_workers = 2 }
    webserver = {}
  }

  expect_failures = [var.scale, var.webserver]
}

run "six_web_servers_and_a_way_in_that_nobody_needs" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    scale     = { max_webservers = 6 }
    webserver = { api_only = true, cidrs = { vpn = "10.8.0.0/16" } }
  }

  expect_failures = [var.scale, var.webserver]
}

run "one_web_server_and_a_way_in_to_a_public_page" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    scale     = { min_webservers = 1 }
    webserver = { access_mode = "PUBLIC_ONLY", cidrs = { vpn = "10.8.0.0/16" } }
  }

  expect_failures = [var.scale, var.webserver]
}

run "one_scheduler_and_a_public_page_for_nobody" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    scale     = { schedulers = 1 }
    webserver = { access_mode = "PUBLIC_ONLY", api_only = true }
  }

  expect_failures = [var.scale, var.webserver]
}

run "twenty_six_workers_and_a_way_in_for_everybody" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    scale     = { max_workers = 26 }
    webserver = { cidrs = { all = "0.0.0.0/0" } }
  }

  expect_failures = [var.scale, var.webserver]
}

run "half_a_worker_and_a_network_that_is_none" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    scale     = { max_workers = 1.5 }
    webserver = { cidrs = { vpn = "10.8" } }
  }

  expect_failures = [var.scale, var.webserver]
}

run "micro_with_two_of_each_and_a_group_by_name" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    environment_class = "mw1.micro"
    scale             = { max_workers = 2 }
    webserver         = { security_groups = { jump = "jump-host" } }
  }

  expect_failures = [var.scale, var.webserver]
}

# A run breaks one rule of many variables at once, because each run starts the provider anew.
run "what_no_other_module_hands_over" {
  command = plan

  module {
    source = "./modules/airflow"
  }

  variables {
    buckets                  = { dags = { arn = "dags", name = "dags" }, data = { arn = "data", name = "data" } }
    data_prefixes            = ["jobs/"]
    deployment               = "environment: test"
    https_destinations       = { both = { cidr_ipv4 = "10.0.0.0/8", prefix_list_id = "pl-0123456789abcdef0" } }
    kms_key_arn              = "alias/winbatch-test"
    log_retention_days       = 0
    metrics_log_group        = "winbatch"
    name                     = "winbatch-my-env"
    permissions_boundary_arn = "winbatch-test-boundary"
    region                   = "cn-north-1a"
    vpc_id                   = "my-vpc"
    webserver                = { access_mode = "PUBLIC" }
    workers                  = { auto_scaling_group = "g", cluster = "c", families = ["f"], role_arns = ["e"] }
  }

  expect_failures = [
    var.buckets,
    var.data_prefixes,
    var.deployment,
    var.https_destinations,
    var.kms_key_arn,
    var.log_retention_days,
    var.metrics_log_group,
    var.name,
    var.permissions_boundary_arn,
    var.region,
    var.vpc_id,
    var.webserver,
    var.workers,
  ]
}

resource "aws_ecs_task_definition" "good_windows" {
  family                = "x"
  container_definitions = "[]"

  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "WINDOWS_SERVER_2022_CORE"
  }
}

resource "aws_ecs_task_definition" "bad_no_platform" {
  family                = "x"
  container_definitions = "[]"
}

resource "aws_ecs_task_definition" "bad_linux" {
  family                = "x"
  container_definitions = "[]"

  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "LINUX"
  }
}

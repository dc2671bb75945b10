resource "aws_ecs_task_definition" "good_digest" {
  family = "x"
  container_definitions = jsonencode([
    { name = "a", image = "r/a@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }
  ])
}

resource "aws_ecs_task_definition" "bad_tag" {
  family = "x"
  container_definitions = jsonencode([
    { name = "a", image = "r/a@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
    { name = "b", image = "r/b:latest" }
  ])
}

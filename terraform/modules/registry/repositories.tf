resource "aws_ecr_repository" "repository" {
  for_each = var.workloads

  name                 = "${var.name}/${each.value}"
  force_delete         = var.force_destroy
  image_tag_mutability = "IMMUTABLE"

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }

  image_scanning_configuration {
    scan_on_push = true
  }
}

# Images are named by digest and may have no tag, so a missing tag says nothing about an image's use.
resource "aws_ecr_lifecycle_policy" "repository" {
  for_each = aws_ecr_repository.repository

  repository = each.value.name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "The newest ${var.kept_images} stay"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = var.kept_images }
        action       = { type = "expire" }
      },
    ]
  })
}

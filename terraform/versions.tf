terraform {
  # 1.10 brought the S3 backend its own lock file, 1.11 made it final.
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }

  # environments/<name>.s3.tfbackend says where.
  backend "s3" {}
}

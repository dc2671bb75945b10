terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7.0"
    }
  }

  # The bucket that is made here. Until it is there, `invoke bootstrap` keeps the state in a file, which it then moves.
  backend "s3" {}
}

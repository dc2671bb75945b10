provider "aws" {
  region              = var.region
  allowed_account_ids = var.aws_provider.allowed_account_ids

  max_retries                 = var.aws_provider.max_retries
  s3_use_path_style           = var.aws_provider.s3_use_path_style
  skip_credentials_validation = var.aws_provider.skip_credentials_validation
  skip_metadata_api_check     = tostring(var.aws_provider.skip_metadata_api_check)
  skip_region_validation      = var.aws_provider.skip_region_validation

  default_tags {
    tags = merge(var.tags, {
      environment = var.environment
      managed-by  = "terraform"
      root        = "winbatch-bootstrap"
    })
  }
}

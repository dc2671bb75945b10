resource "aws_s3_object" "requirements" {
  bucket       = var.buckets.dags.name
  key          = "requirements.txt"
  content      = file("${path.module}/requirements.txt")
  content_type = "text/plain"
}

resource "aws_s3_object" "startup_script" {
  count = var.startup_script == null ? 0 : 1

  bucket       = var.buckets.dags.name
  key          = "startup.sh"
  content      = var.startup_script
  content_type = "text/x-shellscript"
}

# Beside the DAGs, so that parsing one reads a local file. Airflow's environment does not depend on it: what changes with each
# image must not update MWAA, which takes half an hour and stops what runs.
resource "aws_s3_object" "deployment" {
  bucket       = var.buckets.dags.name
  key          = "dags/deployment.json"
  content      = var.deployment
  content_type = "application/json"
}

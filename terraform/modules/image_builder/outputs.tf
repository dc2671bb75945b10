output "parameter" {
  description = "The parameter of Systems Manager that names the newest AMI once the pipeline has run: cluster.windows.ami_parameter."
  value       = local.parameter
}

output "pipeline_arn" {
  description = "The pipeline, for `aws imagebuilder start-image-pipeline-execution`."
  value       = aws_imagebuilder_image_pipeline.ami.arn
}

output "recipe" {
  description = "The recipe's name, which changes with what the AMI holds."
  value       = aws_imagebuilder_image_recipe.windows.name
}

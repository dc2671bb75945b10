# Values that the provider's own validation accepts where it looks at what AWS would have answered.

mock_data "aws_caller_identity" {
  defaults = { account_id = "123456789012" }
}

mock_data "aws_partition" {
  defaults = { partition = "aws-cn", dns_suffix = "amazonaws.com.cn", reverse_dns_prefix = "cn.com.amazonaws" }
}

mock_data "aws_availability_zones" {
  defaults = { names = ["cn-north-1a", "cn-north-1b", "cn-north-1c", "eu-central-1a", "eu-central-1b", "eu-central-1c"] }
}

mock_data "aws_vpc" {
  defaults = { enable_dns_hostnames = true, enable_dns_support = true, id = "vpc-0123456789abcdef0" }
}

mock_data "aws_directory_service_directory" {
  defaults = { name = "corp.example.com", dns_ip_addresses = ["10.0.0.10", "10.0.16.10"] }
}

mock_data "aws_iam_policy_document" {
  defaults = { json = "{\"Version\": \"2012-10-17\", \"Statement\": []}" }
}

mock_data "aws_ssm_parameter" {
  defaults = { value = "ami-0123456789abcdef0", insecure_value = "ami-0123456789abcdef0" }
}

mock_data "aws_ec2_instance_type" {
  defaults = {
    default_vcpus              = 4
    hibernation_supported      = true
    instance_storage_supported = false
    maximum_network_interfaces = 4
    memory_size                = 8192
    supported_architectures    = ["x86_64"]
  }
}

mock_data "aws_ami" {
  defaults = { id = "ami-0123456789abcdef0", architecture = "x86_64", platform = "windows", tags = {} }
}

mock_resource "aws_vpc" {
  defaults = { id = "vpc-0123456789abcdef0" }
}

mock_resource "aws_kms_key" {
  defaults = { arn = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws-cn:iam::123456789012:role/mock" }
}

mock_resource "aws_iam_instance_profile" {
  defaults = { arn = "arn:aws-cn:iam::123456789012:instance-profile/mock" }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws-cn:logs:cn-north-1:123456789012:log-group:mock" }
}

mock_resource "aws_s3_bucket" {
  defaults = { arn = "arn:aws-cn:s3:::mock" }
}

mock_resource "aws_launch_template" {
  defaults = { id = "lt-0123456789abcdef0", latest_version = 1 }
}

mock_resource "aws_autoscaling_group" {
  defaults = { arn = "arn:aws-cn:autoscaling:cn-north-1:123456789012:autoScalingGroup:00000000:autoScalingGroupName/mock" }
}

mock_resource "aws_ecs_task_definition" {
  defaults = { arn = "arn:aws-cn:ecs:cn-north-1:123456789012:task-definition/mock:1" }
}

mock_resource "aws_ecr_repository" {
  defaults = {
    arn            = "arn:aws-cn:ecr:cn-north-1:123456789012:repository/mock"
    repository_url = "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/mock"
  }
}

mock_resource "aws_mwaa_environment" {
  defaults = { webserver_url = "mock.airflow.cn-north-1.amazonaws.com.cn" }
}

mock_resource "aws_cloudformation_stack" {
  defaults = { outputs = { FileSystemId = "fs-0123456789abcdef0" } }
}

mock_resource "aws_security_group" {
  defaults = { id = "sg-0123456789abcdef0" }
}

mock_resource "aws_sns_topic" {
  defaults = { arn = "arn:aws-cn:sns:cn-north-1:123456789012:mock" }
}

mock_resource "aws_autoscaling_policy" {
  defaults = { arn = "arn:aws-cn:autoscaling:cn-north-1:123456789012:scalingPolicy:00000000:autoScalingGroupName/mock:policyName/mock" }
}

mock_resource "aws_cloudwatch_metric_alarm" {
  defaults = { arn = "arn:aws-cn:cloudwatch:cn-north-1:123456789012:alarm:mock" }
}

mock_resource "aws_iam_policy" {
  defaults = { arn = "arn:aws-cn:iam::123456789012:policy/mock" }
}

mock_resource "aws_imagebuilder_component" {
  defaults = { arn = "arn:aws-cn:imagebuilder:cn-north-1:123456789012:component/mock/1.0.0/1" }
}

mock_resource "aws_imagebuilder_image_recipe" {
  defaults = { arn = "arn:aws-cn:imagebuilder:cn-north-1:123456789012:image-recipe/mock/1.0.0" }
}

mock_resource "aws_imagebuilder_infrastructure_configuration" {
  defaults = { arn = "arn:aws-cn:imagebuilder:cn-north-1:123456789012:infrastructure-configuration/mock" }
}

mock_resource "aws_imagebuilder_distribution_configuration" {
  defaults = { arn = "arn:aws-cn:imagebuilder:cn-north-1:123456789012:distribution-configuration/mock" }
}

# The file system was never made: this mocked provider is all that has seen it.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                       = "winbatch-test"
  active_directory           = { managed_directory_id = "d-0123456789" }
  instance_security_group_id = "sg-0aaaaaaaaaaaaaaaa"
  kms_key_arn                = "arn:aws-cn:kms:cn-north-1:123456789012:key/00000000-0000-0000-0000-000000000000"
  private_subnet_ids         = { a = "subnet-0a", b = "subnet-0b", c = "subnet-0c" }
  vpc_id                     = "vpc-0123456789abcdef0"
}

run "in_a_managed_directory" {
  module {
    source = "./modules/shared_storage"
  }

  assert {
    condition = jsondecode(aws_cloudformation_stack.file_system.template_body).Resources.FileSystem == {
      Type                = "AWS::FSx::FileSystem"
      DeletionPolicy      = "Retain"
      UpdateReplacePolicy = "Retain"
      Properties = {
        FileSystemType   = "WINDOWS"
        KmsKeyId         = var.kms_key_arn
        SecurityGroupIds = ["sg-0123456789abcdef0"]
        StorageCapacity  = 100
        StorageType      = "SSD"
        SubnetIds        = ["subnet-0a"]
        Tags             = [{ Key = "Name", Value = "winbatch-test-shared-storage" }]
        WindowsConfiguration = {
          ActiveDirectoryId             = "d-0123456789"
          AutomaticBackupRetentionDays  = 7
          CopyTagsToBackups             = true
          DailyAutomaticBackupStartTime = "02:00"
          DeploymentType                = "SINGLE_AZ_2"
          ThroughputCapacity            = 32
          WeeklyMaintenanceStartTime    = "7:03:00"
        }
      }
    }
    error_message = "A file system in one zone under the environment's key, with backups, that a destroy leaves."
  }

  assert {
    condition     = output.domain == "corp.example.com" && output.file_system_id == "fs-0123456789abcdef0"
    error_message = "Task definitions are told the file system and its domain."
  }

  assert {
    condition = (
      aws_vpc_security_group_ingress_rule.smb.referenced_security_group_id == "sg-0aaaaaaaaaaaaaaaa" && aws_vpc_security_group_ingress_rule.smb.from_port == 445 && aws_vpc_security_group_ingress_rule.smb.to_port == 445 &&
      aws_vpc_security_group_egress_rule.instances_smb.security_group_id == "sg-0aaaaaaaaaaaaaaaa" && aws_vpc_security_group_egress_rule.instances_smb.to_port == 445
    )
    error_message = "The instances reach the share, by SMB, and nobody else."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.directory : rule.cidr_ipv4]) == toset(["10.0.0.10/32", "10.0.16.10/32"])
    error_message = "The file system reaches its domain controllers and nobody else."
  }

  assert {
    condition     = aws_route53_resolver_rule.dns[0].domain_name == "corp.example.com" && toset([for target in aws_route53_resolver_rule.dns[0].target_ip : target.ip]) == toset(["10.0.0.10", "10.0.16.10"])
    error_message = "The domain's names are asked of the domain's servers."
  }
}

run "in_a_directory_of_the_users_own" {
  module {
    source = "./modules/shared_storage"
  }

  variables {
    active_directory = {
      self_managed = {
        controller_cidrs    = ["10.1.0.0/24"]
        dns_ips             = ["10.1.0.10"]
        domain              = "ad.example.com"
        join_secret_arn     = "arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:join-AbCdEf"
        organizational_unit = "OU=Files,DC=ad,DC=example,DC=com"
      }
    }
    backup_days    = 30
    force_destroy  = true
    forward_dns    = false
    multi_zone     = true
    size_gib       = 2000
    throughput_mib = 256
  }

  assert {
    condition = jsondecode(aws_cloudformation_stack.file_system.template_body).Resources.FileSystem.Properties.WindowsConfiguration == {
      AutomaticBackupRetentionDays  = 30
      CopyTagsToBackups             = true
      DailyAutomaticBackupStartTime = "02:00"
      DeploymentType                = "MULTI_AZ_1"
      PreferredSubnetId             = "subnet-0a"
      SelfManagedActiveDirectoryConfiguration = {
        DnsIps                              = ["10.1.0.10"]
        DomainName                          = "ad.example.com"
        OrganizationalUnitDistinguishedName = "OU=Files,DC=ad,DC=example,DC=com"
        Password                            = "{{resolve:secretsmanager:arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:join-AbCdEf:SecretString:password}}"
        UserName                            = "{{resolve:secretsmanager:arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:join-AbCdEf:SecretString:username}}"
      }
      ThroughputCapacity         = 256
      WeeklyMaintenanceStartTime = "7:03:00"
    }
    error_message = "The password is named and not told: CloudFormation reads it."
  }

  assert {
    condition     = jsondecode(aws_cloudformation_stack.file_system.template_body).Resources.FileSystem.Properties.SubnetIds == ["subnet-0a", "subnet-0b"] && jsondecode(aws_cloudformation_stack.file_system.template_body).Resources.FileSystem.DeletionPolicy == "Delete"
    error_message = "A second file server stands by in another zone; what may go, goes."
  }

  assert {
    condition     = length(aws_route53_resolver_endpoint.dns) + length(aws_route53_resolver_rule.dns) + length(aws_security_group.dns) == 0
    error_message = "Where names are resolved already, nothing is forwarded."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_egress_rule.directory : rule.cidr_ipv4]) == toset(["10.1.0.0/24", "10.1.0.10/32"])
    error_message = "Domain controllers may be more than DNS servers."
  }
}

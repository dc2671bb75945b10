locals {
  self_managed = var.active_directory.self_managed
  zones        = slice(sort(keys(var.private_subnet_ids)), 0, var.multi_zone ? 2 : 1)
  subnet_ids   = [for zone in local.zones : var.private_subnet_ids[zone]]

  domain  = local.self_managed == null ? data.aws_directory_service_directory.managed[0].name : local.self_managed.domain
  dns_ips = local.self_managed == null ? tolist(data.aws_directory_service_directory.managed[0].dns_ip_addresses) : local.self_managed.dns_ips

  # The two kinds of directory. CloudFormation reads the secret itself, so the password is in no template and no state.
  directory = merge(
    { for id in compact([var.active_directory.managed_directory_id]) : "ActiveDirectoryId" => id },
    {
      for own in local.self_managed[*] : "SelfManagedActiveDirectoryConfiguration" => merge(
        {
          DnsIps     = own.dns_ips
          DomainName = own.domain
          Password   = "{{resolve:secretsmanager:${own.join_secret_arn}:SecretString:password}}"
          UserName   = "{{resolve:secretsmanager:${own.join_secret_arn}:SecretString:username}}"
        },
        { for unit in compact([own.organizational_unit]) : "OrganizationalUnitDistinguishedName" => unit },
      )
    },
  )

  standby = { for subnet in slice(local.subnet_ids, 0, var.multi_zone ? 1 : 0) : "PreferredSubnetId" => subnet }
  removal = var.force_destroy ? "Delete" : "Retain"
}

data "aws_directory_service_directory" "managed" {
  count = local.self_managed == null ? 1 : 0

  directory_id = var.active_directory.managed_directory_id
}

# By CloudFormation, because provider 5.100 would keep the password in its state (docs/decisions/0152).
resource "aws_cloudformation_stack" "file_system" {
  #checkov:skip=CKV_AWS_124: until 2027-05-31: Terraform itself waits for the stack and says how it ended

  name = "${var.name}-shared-storage"

  template_body = jsonencode({
    Description = "Shared storage of ${var.name}"
    Resources = {
      FileSystem = {
        Type                = "AWS::FSx::FileSystem"
        DeletionPolicy      = local.removal
        UpdateReplacePolicy = "Retain"
        Properties = {
          FileSystemType   = "WINDOWS"
          KmsKeyId         = var.kms_key_arn
          SecurityGroupIds = [aws_security_group.file_system.id]
          StorageCapacity  = var.size_gib
          StorageType      = "SSD"
          SubnetIds        = local.subnet_ids
          Tags             = [{ Key = "Name", Value = "${var.name}-shared-storage" }]
          WindowsConfiguration = merge(local.directory, local.standby, {
            AutomaticBackupRetentionDays  = var.backup_days
            CopyTagsToBackups             = true
            DailyAutomaticBackupStartTime = "02:00"
            DeploymentType                = var.multi_zone ? "MULTI_AZ_1" : "SINGLE_AZ_2"
            ThroughputCapacity            = var.throughput_mib
            # Sundays, as MWAA.
            WeeklyMaintenanceStartTime = "7:03:00"
          })
        }
      }
    }
    Outputs = {
      FileSystemId = { Value = { Ref = "FileSystem" } }
    }
  })

  timeouts {
    create = "2h"
    update = "2h"
    delete = "2h"
  }

  # The file system joins the domain while it is made.
  depends_on = [aws_vpc_security_group_egress_rule.directory]
}

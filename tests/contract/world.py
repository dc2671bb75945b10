"""What the contract tests build with plain AWS calls: images, clusters with hosts, task definitions."""

from __future__ import annotations

import base64
import functools
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

import boto3
from botocore.config import Config

from tests.waiting import wait_for

# Whether AWS itself answers, and where.
ON_AWS = os.environ.get("WINBATCH_TEST_AWS", "")
REGION = ON_AWS or "eu-central-1"
ACCOUNT = "123456789012"
# Of an execution role of MWAA's.
AIRFLOW_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": ["airflow.amazonaws.com", "airflow-env.amazonaws.com"]},
            "Action": "sts:AssumeRole",
        }
    ],
}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"

# Of an instance on which ECS's agent and Systems Manager's run.
HOST_TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
HOST_ACTIONS = ("autoscaling:*", "ecr:*", "ecs:*", "logs:*", "ssm:UpdateInstanceInformation", "ssmmessages:*")

_USER_DATA = """<powershell>
[Environment]::SetEnvironmentVariable('ECS_RESERVED_MEMORY', '1024', 'Machine')
[Environment]::SetEnvironmentVariable('ECS_ENABLE_SPOT_INSTANCE_DRAINING', 'true', 'Machine')
[Environment]::SetEnvironmentVariable('ECS_ENABLE_AWSLOGS_EXECUTIONROLE_OVERRIDE', 'true', 'Machine')
Initialize-ECSAgent -Cluster '{cluster}' -EnableTaskIAMRole -EnableTaskENI -AwsvpcBlockIMDS `
    -LoggingDrivers '["awslogs"]'
</powershell>"""
AMI = "/aws/service/ami-windows-latest/Windows_Server-2022-English-Core-ECS_Optimized/image_id"


@functools.cache
def client(endpoint: str, service: str) -> Any:
    """A client, the same one for all tests of an emulator: to make one takes a tenth of a second."""
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="local",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def remove_bucket(s3: Any, name: str) -> None:
    """Remove a bucket, whatever its policy keeps in it."""
    s3.delete_bucket_policy(Bucket=name)
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
        for entry in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            s3.delete_object(Bucket=name, Key=entry["Key"], VersionId=entry["VersionId"])
    s3.delete_bucket(Bucket=name)


def layer(files: Mapping[str, str]) -> bytes:
    """A tar layer of executable files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in files.items():
            data = text.encode()
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    # The same files are the same bytes, whenever they are packed.
    return gzip.compress(buffer.getvalue(), mtime=0)


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def push_blob(ecr: Any, repository: str, data: bytes) -> dict[str, Any]:
    """Upload a layer in two parts, unless it is there."""
    digest = digest_of(data)
    known = ecr.batch_check_layer_availability(repositoryName=repository, layerDigests=[digest])
    if not known["layers"]:
        upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
        middle = len(data) // 2
        for first, last in ((0, middle - 1), (middle, len(data) - 1)):
            ecr.upload_layer_part(
                repositoryName=repository,
                uploadId=upload,
                partFirstByte=first,
                partLastByte=last,
                layerPartBlob=data[first : last + 1],
            )
        ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[digest])
    return {"digest": digest, "size": len(data)}


def push(
    ecr: Any, repository: str, config: Mapping[str, Any], *layers: bytes, tag: str | None = None, system: str = "linux"
) -> str:
    """Push an image; its reference by digest."""
    document = json.dumps({"architecture": "amd64", "os": system, "config": config}).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                **push_blob(ecr, repository, document),
            },
            "layers": [
                {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **push_blob(ecr, repository, data)}
                for data in layers
            ],
        }
    )
    name = {"imageTag": tag} if tag else {}
    answer = ecr.put_image(repositoryName=repository, imageManifest=manifest, imageManifestMediaType=MANIFEST, **name)
    digest = answer["image"]["imageId"]["imageDigest"]
    return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{repository}@{digest}"


class Cluster:
    """An ECS cluster with an Auto Scaling group of Windows hosts and a capacity provider, all of one name."""

    def __init__(self, client: Callable[..., Any], name: str) -> None:
        self.name = name
        self.ecs, self.ec2, self.asg = client("ecs"), client("ec2"), client("autoscaling")
        self.ecr, self.logs, self.iam, self.ssm = client("ecr"), client("logs"), client("iam"), client("ssm")
        self.repository = f"{name}/work"
        self.ecr.create_repository(repositoryName=self.repository)
        self.logs.create_log_group(logGroupName=name)
        self.ecs.create_cluster(clusterName=name)
        self.vpc = self.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
        subnet = self.ec2.create_subnet(VpcId=self.vpc, CidrBlock="10.9.0.0/24", AvailabilityZone=f"{REGION}a")
        self.subnet = subnet["Subnet"]["SubnetId"]
        self.security_group = self.ec2.create_security_group(GroupName=name, Description="tests", VpcId=self.vpc)[
            "GroupId"
        ]
        self._create_profile()
        self._create_template()
        self.create_group()
        self.capacity_provider(managed_draining=False)

    def _create_profile(self) -> None:
        self.host_role = f"{self.name}-host"
        self.iam.create_role(RoleName=self.host_role, AssumeRolePolicyDocument=json.dumps(HOST_TRUST))
        self.allow_hosts(*HOST_ACTIONS)
        self.iam.create_instance_profile(InstanceProfileName=self.name)
        self.iam.add_role_to_instance_profile(InstanceProfileName=self.name, RoleName=self.host_role)

    def allow_hosts(self, *actions: str) -> None:
        """Let the hosts' role do this, and nothing else."""
        allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        self.iam.put_role_policy(RoleName=self.host_role, PolicyName="host", PolicyDocument=document)

    def _create_template(self) -> None:
        user_data = _USER_DATA.format(cluster=self.name)
        self.ec2.create_launch_template(
            LaunchTemplateName=self.name,
            LaunchTemplateData={
                "ImageId": f"resolve:ssm:{AMI}",
                "InstanceType": "c5.xlarge",
                "IamInstanceProfile": {"Name": self.name},
                "SecurityGroupIds": [self.security_group],
                "UserData": base64.b64encode(user_data.encode()).decode(),
            },
        )

    def name_image(self) -> None:
        """Let the launch template name its AMI by its id, as a warm pool wants it."""
        image = self.ssm.get_parameter(Name=AMI)["Parameter"]["Value"]
        versions = self.ec2.describe_launch_template_versions(LaunchTemplateName=self.name, Versions=["$Latest"])
        data = {**versions["LaunchTemplateVersions"][0]["LaunchTemplateData"], "ImageId": image}
        self.ec2.create_launch_template_version(LaunchTemplateName=self.name, LaunchTemplateData=data)

    def change_user_data(self, change: Callable[[str], str]) -> None:
        """Let new instances have other user data."""
        versions = self.ec2.describe_launch_template_versions(LaunchTemplateName=self.name, Versions=["$Latest"])
        data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        script = change(base64.b64decode(data["UserData"]).decode())
        data = {**data, "UserData": base64.b64encode(script.encode()).decode()}
        self.ec2.create_launch_template_version(LaunchTemplateName=self.name, LaunchTemplateData=data)

    def create_group(self) -> None:
        self.asg.create_auto_scaling_group(
            AutoScalingGroupName=self.name,
            MinSize=0,
            MaxSize=4,
            DesiredCapacity=0,
            VPCZoneIdentifier=self.subnet,
            MixedInstancesPolicy={
                "LaunchTemplate": {
                    "LaunchTemplateSpecification": {"LaunchTemplateName": self.name, "Version": "$Latest"},
                    "Overrides": [{"InstanceType": "c5.xlarge"}],
                }
            },
        )

    def capacity_provider(self, *, managed_draining: bool, managed_scaling: bool = False, suffix: str = "") -> str:
        """Put a capacity provider in front of the group; instances that register from now on belong to it."""
        name = self.name + suffix
        self.ecs.create_capacity_provider(
            name=name,
            autoScalingGroupProvider={
                "autoScalingGroupArn": self.group()["AutoScalingGroupARN"],
                "managedScaling": {"status": "ENABLED" if managed_scaling else "DISABLED"},
                "managedDraining": "ENABLED" if managed_draining else "DISABLED",
            },
        )
        self.ecs.put_cluster_capacity_providers(
            cluster=self.name,
            capacityProviders=[name],
            defaultCapacityProviderStrategy=[{"capacityProvider": name, "weight": 1}],
        )
        return name

    def group(self) -> dict[str, Any]:
        return self.asg.describe_auto_scaling_groups(AutoScalingGroupNames=[self.name])["AutoScalingGroups"][0]

    def instances(self, **filters: Any) -> list[dict[str, Any]]:
        arns = self.ecs.list_container_instances(cluster=self.name, **filters)["containerInstanceArns"]
        if not arns:
            return []
        return self.ecs.describe_container_instances(cluster=self.name, containerInstances=arns)["containerInstances"]

    def scale(self, count: int) -> list[dict[str, Any]]:
        """Set the desired capacity and wait until as many hosts have registered."""
        self.asg.set_desired_capacity(AutoScalingGroupName=self.name, DesiredCapacity=count)
        wait_for(lambda: len(self.instances()) == count)
        return self.instances()

    def image(self, script: str, **config: Any) -> str:
        """An image that runs a shell script."""
        settings = {"Entrypoint": ["./main.sh"], "WorkingDir": "/app", "Env": ["FROM=image", "IN=image"], **config}
        return push(self.ecr, self.repository, settings, layer({"app/main.sh": f"#!/bin/sh\n{script}\n"}))

    def define(self, script: str, *, network: str | None = None, **container: Any) -> str:
        """A task definition that runs a shell script, with its log in the cluster's log group."""
        settings = ("taskRoleArn", "executionRoleArn", "runtimePlatform", "cpu_all")
        extra = {name: container.pop(name) for name in settings if name in container}
        definition = {
            "name": "main",
            "image": container.pop("image", None) or self.image(script),
            "cpu": 1024,
            "memory": 512,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {"awslogs-group": self.name, "awslogs-region": REGION, "awslogs-stream-prefix": "p"},
            },
            **container,
        }
        answer = self.ecs.register_task_definition(
            family=self.name,
            containerDefinitions=[definition],
            **({"networkMode": network} if network else {}),
            **extra,
        )
        return answer["taskDefinition"]["taskDefinitionArn"]

    def run(self, definition: str, count: int = 1, **settings: Any) -> dict[str, Any]:
        return self.ecs.run_task(cluster=self.name, taskDefinition=definition, count=count, **settings)

    def start(self, definition: str, **settings: Any) -> str:
        """Run one ECS task; its ARN."""
        answer = self.run(definition, **settings)
        assert not answer["failures"], answer["failures"]
        return answer["tasks"][0]["taskArn"]

    def task(self, arn: str) -> dict[str, Any]:
        answer = self.ecs.describe_tasks(cluster=self.name, tasks=[arn])
        assert not answer["failures"], answer["failures"]
        return answer["tasks"][0]

    def reach(self, arn: str, status: str) -> dict[str, Any]:
        """Wait until an ECS task has a status."""
        wait_for(lambda: self.task(arn)["lastStatus"] == status)
        return self.task(arn)

    def lines(self, arn: str, container: str = "main") -> list[str]:
        stream = f"p/{container}/{arn.rpartition('/')[2]}"
        events = self.logs.get_log_events(logGroupName=self.name, logStreamName=stream, startFromHead=True)["events"]
        return [event["message"] for event in events]

    def evidence(self) -> str:
        """Hosts, and ECS tasks with the reasons for their ends."""
        arns = [
            arn
            for status in ("RUNNING", "STOPPED")
            for arn in self.ecs.list_tasks(cluster=self.name, desiredStatus=status)["taskArns"]
        ]
        found = self.ecs.describe_tasks(cluster=self.name, tasks=arns)["tasks"] if arns else []
        lines = [f"{len(self.instances())} hosts"]
        lines += [f"{task['taskArn']} {task['lastStatus']} {task.get('stoppedReason', '')}" for task in found]
        return "\n".join(lines)

    def remove(self) -> None:
        """Stop everything that runs."""
        self.asg.delete_auto_scaling_group(AutoScalingGroupName=self.name, ForceDelete=True)
        wait_for(lambda: not self.ecs.list_tasks(cluster=self.name)["taskArns"])
        # An emulator dies with all that it has.
        if ON_AWS:
            self._remove_all()

    def _remove_all(self) -> None:
        """Take away all that was made, where somebody else would have to."""
        groups = {"AutoScalingGroupNames": [self.name]}
        wait_for(lambda: not self.asg.describe_auto_scaling_groups(**groups)["AutoScalingGroups"])
        self.ecs.put_cluster_capacity_providers(
            cluster=self.name, capacityProviders=[], defaultCapacityProviderStrategy=[]
        )
        self.ecs.delete_capacity_provider(capacityProvider=self.name)
        self.ecs.delete_cluster(cluster=self.name)
        for arn in self.ecs.list_task_definitions(familyPrefix=self.name)["taskDefinitionArns"]:
            self.ecs.deregister_task_definition(taskDefinition=arn)
        self.logs.delete_log_group(logGroupName=self.name)
        self.ecr.delete_repository(repositoryName=self.repository, force=True)
        self.ec2.delete_launch_template(LaunchTemplateName=self.name)
        self.ec2.delete_security_group(GroupId=self.security_group)
        self.ec2.delete_subnet(SubnetId=self.subnet)
        self.ec2.delete_vpc(VpcId=self.vpc)
        self.iam.remove_role_from_instance_profile(InstanceProfileName=self.name, RoleName=self.host_role)
        self.iam.delete_instance_profile(InstanceProfileName=self.name)
        self.iam.delete_role_policy(RoleName=self.host_role, PolicyName="host")
        self.iam.delete_role(RoleName=self.host_role)

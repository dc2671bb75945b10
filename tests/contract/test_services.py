"""What Terraform asks of SSM, EC2 and IAM."""

from __future__ import annotations

import json
import re

import pytest

VERSIONS = ("2019", "2022", "2025")


@pytest.mark.on_aws
@pytest.mark.aws(
    does="The ECS-optimized Windows AMIs are public parameters, `…/image_id` and the whole as JSON.",
    source="https://docs.aws.amazon.com/AmazonECS/latest/developerguide/retrieve-ecs-optimized_windows_AMI.html",
    sure="documented",
)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("edition", ["Core", "Full"])
def test_the_ecs_optimized_windows_ami_is_a_public_parameter(client, version, edition):
    name = f"/aws/service/ami-windows-latest/Windows_Server-{version}-English-{edition}-ECS_Optimized"
    image_id = client("ssm").get_parameter(Name=f"{name}/image_id")["Parameter"]["Value"]
    assert json.loads(client("ssm").get_parameter(Name=name)["Parameter"]["Value"])["image_id"] == image_id

    image = client("ec2").describe_images(ImageIds=[image_id])["Images"][0]
    assert image["Platform"] == "windows"
    assert image["State"] == "available"


@pytest.mark.on_aws
@pytest.mark.aws(
    does="GetParametersByPath finds the public parameters below a path.",
    source="https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParametersByPath.html",
    sure="documented",
)
def test_the_parameters_are_found_by_their_path(client):
    pages = (
        client("ssm")
        .get_paginator("get_parameters_by_path")
        .paginate(Path="/aws/service/ami-windows-latest", Recursive=True)
    )
    names = [parameter["Name"] for page in pages for parameter in page["Parameters"]]
    ours = {f"Windows_Server-{version}-English-{edition}" for version in VERSIONS for edition in ("Core", "Full")}
    found = {name.rpartition("ami-windows-latest/")[2] for name in names}
    assert {f"{one}-ECS_Optimized/image_id" for one in ours} <= found


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A c5.xlarge has four vCPUs, 8 GiB and four network interfaces.",
    source="https://docs.aws.amazon.com/ec2/latest/instancetypes/co.html",
    sure="documented",
)
def test_instance_types_have_their_sizes(client):
    answer = client("ec2").describe_instance_types(InstanceTypes=["c5.xlarge"])["InstanceTypes"][0]
    assert answer["VCpuInfo"]["DefaultVCpus"] == 4
    assert answer["MemoryInfo"]["SizeInMiB"] == 8192
    assert answer["NetworkInfo"]["MaximumNetworkInterfaces"] == 4


@pytest.mark.on_aws
@pytest.mark.aws(
    does="Tags of a launch template are no part of its data.",
    source="https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateLaunchTemplate.html",
    sure="documented",
)
def test_a_template_s_own_tags_are_not_its_instances_tags(client, unique):
    ec2 = client("ec2")
    ec2.create_launch_template(
        LaunchTemplateName=unique,
        LaunchTemplateData={"InstanceType": "c5.xlarge"},
        TagSpecifications=[{"ResourceType": "launch-template", "Tags": [{"Key": "a", "Value": "b"}]}],
    )
    version = ec2.describe_launch_template_versions(LaunchTemplateName=unique)["LaunchTemplateVersions"][0]
    assert "TagSpecifications" not in version["LaunchTemplateData"]
    template = ec2.describe_launch_templates(LaunchTemplateNames=[unique])["LaunchTemplates"][0]
    assert template["Tags"] == [{"Key": "a", "Value": "b"}]
    ec2.delete_launch_template(LaunchTemplateName=unique)


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A security group rule has the description that it was made with.",
    source="https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html",
    sure="documented",
)
def test_a_rule_keeps_its_description(cluster):
    cluster.ec2.authorize_security_group_egress(
        GroupId=cluster.security_group,
        IpPermissions=[
            {
                "IpProtocol": "tcp",
                "FromPort": 443,
                "ToPort": 443,
                "UserIdGroupPairs": [{"GroupId": cluster.security_group, "Description": "to itself"}],
            }
        ],
    )
    rules = cluster.ec2.describe_security_group_rules(
        Filters=[{"Name": "group-id", "Values": [cluster.security_group]}]
    )["SecurityGroupRules"]
    assert "to itself" in [rule.get("Description") for rule in rules]


@pytest.mark.on_aws
@pytest.mark.aws(
    does="AWS's managed policies are there by their ARNs.",
    source="https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonSSMManagedInstanceCore.html",
    sure="documented",
)
def test_aws_managed_policies_exist(client):
    arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    assert client("iam").get_policy(PolicyArn=arn)["Policy"]["PolicyName"] == "AmazonSSMManagedInstanceCore"


@pytest.mark.aws(
    does="An interface endpoint's network interfaces are the service's own (RequesterManaged) and go with it.",
    source="https://docs.aws.amazon.com/vpc/latest/privatelink/create-interface-endpoint.html",
    sure="documented",
)
def test_an_endpoints_interfaces_are_in_use_until_it_goes(client):
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.99.0.0/25")["Subnet"]["SubnetId"]
    endpoint = ec2.create_vpc_endpoint(
        VpcId=vpc, VpcEndpointType="Interface", ServiceName="com.amazonaws.eu-central-1.sqs", SubnetIds=[subnet]
    )["VpcEndpoint"]["VpcEndpointId"]

    def statuses():
        found = ec2.describe_network_interfaces(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["NetworkInterfaces"]
        return [(interface["Status"], interface["RequesterManaged"]) for interface in found]

    assert statuses() == [("in-use", True)]
    ec2.delete_vpc_endpoints(VpcEndpointIds=[endpoint])
    assert statuses() == []
    ec2.delete_subnet(SubnetId=subnet)
    ec2.delete_vpc(VpcId=vpc)


@pytest.mark.on_aws
@pytest.mark.aws(
    does="GetCallerIdentity names a user of IAM by his ARN of IAM, and a role by its session's of STS.",
    source="https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html",
    sure="documented",
)
def test_who_calls_has_an_arn_that_a_policy_can_name(client):
    arn = client("sts").get_caller_identity()["Arn"]
    assert re.fullmatch(r"arn:aws[a-z-]*:(iam::\d{12}:(user/.+|root)|sts::\d{12}:assumed-role/[^/]+/.+)", arn)

"""MWAA's API where no Airflow has to run: what is refused, and how requests find their way."""

import json

import boto3
import pytest
from botocore.config import Config

from . import world


def mwaa_client(endpoint, **config):
    return boto3.client(
        "mwaa",
        endpoint_url=endpoint,
        region_name=world.REGION,
        aws_access_key_id="local",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture
def mwaa(client, request):
    if world.ON_AWS:
        return client("mwaa")
    return mwaa_client(request.getfixturevalue("endpoint"), inject_host_prefix=False)


@pytest.fixture
def request_of(client, unique):
    """CreateEnvironment's parameters, with all that they name."""
    s3, iam, ec2 = client("s3"), client("iam"), client("ec2")
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": world.REGION})
    s3.put_bucket_versioning(Bucket=unique, VersioningConfiguration={"Status": "Enabled"})
    trust = json.dumps(world.AIRFLOW_TRUST)
    role = iam.create_role(RoleName=unique, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{i}.0/24", AvailabilityZone=world.REGION + zone)
        for i, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(GroupName=unique, Description="Airflow", VpcId=vpc)["GroupId"]
    return {
        "Name": unique,
        "ExecutionRoleArn": role,
        "SourceBucketArn": f"arn:aws:s3:::{unique}",
        "DagS3Path": "dags",
        "NetworkConfiguration": {
            "SubnetIds": [subnet["Subnet"]["SubnetId"] for subnet in subnets],
            "SecurityGroupIds": [group],
        },
    }


@pytest.mark.on_aws
@pytest.mark.aws(
    does="An environment that does not exist is a ResourceNotFoundException.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_GetEnvironment.html",
    sure="documented",
)
@pytest.mark.parametrize("operation", ["get_environment", "delete_environment", "create_web_login_token"])
def test_an_environment_that_is_not_there(mwaa, unique, operation):
    with pytest.raises(mwaa.exceptions.ResourceNotFoundException):
        getattr(mwaa, operation)(Name=unique)


@pytest.mark.on_aws
@pytest.mark.aws(
    does="Tags of an environment that does not exist are a ResourceNotFoundException.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_TagResource.html",
    sure="documented",
)
def test_tags_of_an_environment_that_is_not_there(mwaa, unique):
    arn = f"arn:aws:airflow:{world.REGION}:{world.ACCOUNT}:environment/{unique}"
    with pytest.raises(mwaa.exceptions.ResourceNotFoundException):
        mwaa.list_tags_for_resource(ResourceArn=arn)
    with pytest.raises(mwaa.exceptions.ResourceNotFoundException):
        mwaa.tag_resource(ResourceArn=arn, Tags={"a": "b"})


@pytest.mark.aws(
    does="CreateEnvironment checks version, class, role, bucket and files, and answers ValidationException.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_CreateEnvironment.html",
    sure="assumed",
)
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"AirflowVersion": "2.10.3"}, "Unsupported Airflow version"),
        ({"ExecutionRoleArn": "arn:aws:iam::123456789012:role/nobody"}, "role/nobody does not exist"),
        ({"SourceBucketArn": "arn:aws:s3:::nowhere"}, "bucket nowhere does not exist"),
        ({"RequirementsS3Path": "requirements.txt"}, "Unable to access version null of requirements.txt"),
        ({"EnvironmentClass": "mw1.tiny"}, "Unsupported environment class"),
    ],
)
def test_what_create_environment_refuses(mwaa, request_of, given, message):
    with pytest.raises(mwaa.exceptions.ValidationException, match=message):
        mwaa.create_environment(**{**request_of, **given})
    assert request_of["Name"] not in mwaa.list_environments()["Environments"]


@pytest.mark.aws(
    does="CreateEnvironment checks that its subnets exist.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_CreateEnvironment.html",
    sure="assumed",
)
def test_subnets_must_exist(mwaa, request_of):
    network = {**request_of["NetworkConfiguration"], "SubnetIds": ["subnet-1", "subnet-2"]}
    with pytest.raises(mwaa.exceptions.ValidationException, match="subnet-1, subnet-2"):
        mwaa.create_environment(**{**request_of, "NetworkConfiguration": network})


@pytest.mark.aws(
    does="An environment's bucket must have versioning on.",
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-s3-bucket.html",
    sure="documented",
)
def test_the_bucket_must_keep_versions(mwaa, client, request_of):
    bucket = request_of["Name"]
    client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    with pytest.raises(mwaa.exceptions.ValidationException, match="Versioning must be enabled"):
        mwaa.create_environment(**request_of)


@pytest.mark.on_aws
@pytest.mark.aws(
    does="InvokeRestApi takes a path of 64 characters at most.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_InvokeRestApi.html",
    sure="documented",
)
def test_a_path_of_65_characters_is_too_long(mwaa, unique):
    with pytest.raises(mwaa.exceptions.ValidationException, match="length less than or equal to 64"):
        mwaa.invoke_rest_api(Name=unique, Method="GET", Path="/" + "d" * 64)


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A page token that ListEnvironments did not give is a ValidationException.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_ListEnvironments.html",
    sure="assumed",
)
def test_a_page_token_must_be_one_of_ours(mwaa):
    with pytest.raises(mwaa.exceptions.ValidationException, match="Invalid NextToken"):
        mwaa.list_environments(NextToken="%%%")


@pytest.mark.aws(
    does="MWAA's calls go to a host with `api.` before it.",
    source="botocore, mwaa-2020-07-01, endpoint.hostPrefix",
    sure="documented",
)
def test_a_prefixed_host_comes_through_the_proxy_setting(endpoint, unique):
    """As Terraform's provider does it: the API prefixes its host, and a proxy needs no name server."""
    prefixed = mwaa_client(endpoint, proxies={"http": endpoint})
    assert unique not in prefixed.list_environments()["Environments"]
    with pytest.raises(prefixed.exceptions.ResourceNotFoundException):
        prefixed.create_cli_token(Name=unique)

"""Requests that AWS's own models do not allow, and calls that are not emulated."""

from __future__ import annotations

import json
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from .world import ON_AWS, REGION


@pytest.fixture(scope="module")
def unchecked(request):
    """Clients that send whatever they are given, as those of other languages do."""
    local = {} if ON_AWS else {"aws_access_key_id": "local", "aws_secret_access_key": "test"}
    local |= {} if ON_AWS else {"endpoint_url": request.getfixturevalue("endpoint")}
    config = Config(parameter_validation=False, retries={"total_max_attempts": 1}, inject_host_prefix=bool(ON_AWS))
    return lambda service: boto3.client(service, region_name=REGION, config=config, **local)


def refusal(call, **parameters):
    with pytest.raises(ClientError) as raised:
        call(**parameters)
    return raised.value.response


def told(call, **parameters):
    error = refusal(call, **parameters)["Error"]
    return error["Code"], error["Message"]


ONE = "1 validation error detected: Value"
FAILED = "failed to satisfy constraint: Member must"


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A name that its pattern does not allow is refused with InvalidParameterException, which names both.",
    source="https://github.com/awslabs/aws-embedded-metrics-java/issues/65",
    sure="reported",
)
def test_a_log_group_s_name_keeps_to_its_pattern(unchecked):
    code, message = told(unchecked("logs").create_log_group, logGroupName="name:tag")
    assert code == "InvalidParameterException"
    assert message.startswith(f"{ONE} 'name:tag' at 'logGroupName' {FAILED} satisfy regular expression pattern: ")


@pytest.mark.on_aws
@pytest.mark.aws(
    does="Auto Scaling refuses an empty value with ValidationError and the length that it must have.",
    source="https://github.com/hashicorp/terraform-provider-aws/issues/37523",
    sure="reported",
)
def test_auto_scaling_counts_characters(unchecked):
    found = told(unchecked("autoscaling").update_auto_scaling_group, AutoScalingGroupName="g", DesiredCapacityType="")
    message = f"{ONE} '' at 'desiredCapacityType' {FAILED} have length greater than or equal to 1"
    assert found == ("ValidationError", message)


@pytest.mark.on_aws
@pytest.mark.aws(
    does="ECR refuses a repository's name with InvalidParameterException, in words of its own.",
    source="https://github.com/boto/boto3/issues/3191",
    sure="reported",
)
def test_ecr_has_words_of_its_own(unchecked):
    code, message = told(unchecked("ecr").create_repository, repositoryName="Org/repo")
    assert code == "InvalidParameterException"
    start = "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '"
    assert message.startswith(start)


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A value outside an enumeration is refused with ValidationException, which lists the values that there are.",
    source="https://github.com/boto/boto3/issues/3428",
    sure="reported",
)
def test_an_enumeration_is_closed(unchecked):
    code, message = told(unchecked("kms").create_key, KeySpec="AES-256")
    assert code == "ValidationException"
    assert message.startswith(f"{ONE} 'AES-256' at 'keySpec' {FAILED} satisfy enum value set: [")


@pytest.mark.on_aws
@pytest.mark.aws(
    does="Several faults of a request are told together, by their paths within it.",
    source="https://github.com/hashicorp/terraform-provider-aws/issues/36076",
    sure="reported",
)
def test_all_that_is_wrong_is_told_at_once(unchecked):
    code, message = told(unchecked("kms").tag_resource, KeyId="", Tags=[{"TagKey": "k" * 129, "TagValue": "v"}])
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: Value '' at 'keyId' ")
    assert "at 'tags.1.member.tagKey' " in message


@pytest.mark.on_aws
@pytest.mark.aws(
    does="EC2 refuses a number below its least with InvalidParameterValue, which names parameter and value.",
    source="https://github.com/aws/aws-sdk-ruby/pull/2575",
    sure="reported",
)
def test_ec2_names_parameter_and_value(unchecked):
    code, message = told(unchecked("ec2").describe_instance_types, MaxResults=1)
    assert code == "InvalidParameterValue"
    assert message.startswith("Value ( 1 ) for parameter maxResults is invalid.")


@pytest.mark.on_aws
@pytest.mark.aws(
    does="EC2 refuses a request without a required parameter with MissingParameter.",
    source="https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html",
    sure="documented",
)
def test_ec2_misses_a_parameter(unchecked):
    assert told(unchecked("ec2").create_vpc_endpoint, ServiceName="s")[0] == "MissingParameter"


@pytest.mark.on_aws
@pytest.mark.aws(
    does="A JSON value of another type than the model's is refused with SerializationException.",
    source="https://github.com/aarondfrancis/sidecar/issues/148",
    sure="reported",
)
def test_json_has_types(unchecked):
    code, message = told(unchecked("ecs").run_task, taskDefinition=5)
    assert (code, message) == (
        "SerializationException",
        "NUMBER_VALUE can not be converted to a String at taskDefinition",
    )


@pytest.mark.aws(
    does="S3 refuses XML that its schema does not allow with MalformedXML.",
    source="https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html",
    sure="documented",
)
def test_s3_s_xml_keeps_to_its_schema(unchecked):
    code, message = told(unchecked("s3").put_bucket_versioning, Bucket="b12", VersioningConfiguration={"Status": "On"})
    assert code == "MalformedXML"
    assert message.startswith(
        "The XML you provided was not well-formed or did not validate against our published schema"
    )


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("autoscaling", "cancel_instance_refresh", {"AutoScalingGroupName": "g"}),
        ("ec2", "describe_instance_event_windows", {}),
        ("ecs", "start_task", {"taskDefinition": "t", "containerInstances": ["i"]}),
        ("iam", "simulate_custom_policy", {"PolicyInputList": ["{}"], "ActionNames": ["a:b"]}),
    ],
)
def test_what_is_not_emulated_says_so_in_each_protocol(unchecked, service, operation, parameters):
    answer = refusal(getattr(unchecked(service), operation), **parameters)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert answer["Error"]["Code"] == "NotImplemented"
    assert "not emulated" in answer["Error"]["Message"]


def test_what_no_model_has_is_named(endpoint):
    scope = "AWS4-HMAC-SHA256 Credential=AKID/20261130/eu-central-1/ecs/aws4_request, SignedHeaders=host, Signature=0"
    target = "AmazonEC2ContainerServiceV20141113.RunEverything"
    request = Request(endpoint, b"{}", {"Authorization": scope, "X-Amz-Target": target})
    with pytest.raises(HTTPError) as raised:
        build_opener(ProxyHandler({})).open(request)
    assert raised.value.code == 501
    assert "RunEverything" in json.load(raised.value)["message"]

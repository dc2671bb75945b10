"""Parameters are held to botocore's models, in AWS's words."""

from __future__ import annotations

import pytest

from emulator import calls, operations, validation
from tests.wire import SERVICES, environ_of


def refused(service, operation, parameters, protocol=None):
    found = validation.refused(calls.read(environ_of(service, operation, parameters, protocol)))
    return found and (found.code, found.message)


def test_what_the_model_allows_passes():
    assert refused("ecs", "RunTask", {"taskDefinition": "t", "tags": [{"key": "ü", "value": ""}]}) is None
    assert refused("kms", "CreateKey", {"Tags": [{"TagKey": "a", "TagValue": "b"}], "KeySpec": "RSA_2048"}) is None
    assert refused("ec2", "RunInstances", {"MinCount": 1, "MaxCount": 1}) is None
    assert refused("s3", "PutObject", {"Bucket": "b", "Key": "k", "StorageClass": "GLACIER"}) is None


CORAL = "validation error detected: Value"
FAILED = "failed to satisfy constraint: Member must"
NULL = f"{FAILED} not be null"
SECRET = "x" * 257


@pytest.mark.parametrize(
    ("service", "operation", "parameters", "code", "message"),
    [
        (
            "kms",
            "DescribeKey",
            {"KeyId": ""},
            "ValidationException",
            f"1 {CORAL} '' at 'keyId' {FAILED} have length gr",
        ),
        ("kms", "DescribeKey", {}, "ValidationException", f"1 {CORAL} null at 'keyId' {NULL}"),
        (
            "kms",
            "CreateKey",
            {"KeySpec": "RSA"},
            "ValidationException",
            f"1 {CORAL} 'RSA' at 'keySpec' {FAILED} satisfy",
        ),
        (
            "kms",
            "TagResource",
            {"KeyId": "", "Tags": [{"TagKey": "x" * 129, "TagValue": ""}]},
            "ValidationException",
            "2 validation errors detected: Value '' at 'keyId' failed to satisfy ",
        ),
        (
            "logs",
            "CreateLogGroup",
            {"logGroupName": "a b"},
            "InvalidParameterException",
            rf"1 {CORAL} 'a b' at 'logGroupName' {FAILED} satisfy regular expression pattern: [\.\-_/#A-Za-z0-9]+",
        ),
        (
            "logs",
            "CreateLogGroup",
            {"logGroupName": "a", "tags": {"k": SECRET}},
            "InvalidParameterException",
            f"1 {CORAL} '{{k={SECRET}}}' at 'tags' failed to satisfy constraint: Map value must satisfy constraint: [",
        ),
        ("autoscaling", "DescribeWarmPool", {}, "ValidationError", f"1 {CORAL} null at 'autoScalingGroupName' {NULL}"),
        (
            "ecr",
            "CreateRepository",
            {"repositoryName": "Upper"},
            "InvalidParameterException",
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '[",
        ),
        ("ec2", "RunInstances", {"MinCount": 1}, "MissingParameter", "The request must contain the parameter maxCount"),
        ("ec2", "RunInstances", {"MinCount": 1, "MaxCount": 1, "InstanceType": "c5.huge"}, "InvalidParameterValue", ""),
        (
            "ec2",
            "DescribeInstanceTypes",
            {"MaxResults": 3},
            "InvalidParameterValue",
            "Value ( 3 ) for parameter maxRes",
        ),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "StorageClass": "COLD"}, "InvalidStorageClass", "The storage"),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "ACL": "mine"}, "InvalidArgument", ""),
        (
            "s3",
            "PutBucketVersioning",
            {"Bucket": "b", "VersioningConfiguration": {"Status": "On"}},
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        ),
        ("sqs", "SendMessage", {"QueueUrl": "u"}, "MissingParameter", "The request must contain the parameter mes"),
        ("mwaa", "CreateEnvironment", {"Name": "1"}, "ValidationException", "5 validation errors detected"),
        (
            "ecs",
            "RunTask",
            {"taskDefinition": 5},
            "SerializationException",
            "NUMBER_VALUE can not be converted to a Str",
        ),
        ("ecs", "RunTask", {"taskDefinition": "t", "count": "2"}, "SerializationException", "STRING_VALUE can not"),
        ("ecs", "RunTask", {"taskDefinition": ["t"]}, "SerializationException", "START_ARRAY can not be converted to"),
    ],
)
def test_what_the_model_forbids_is_refused(service, operation, parameters, code, message):
    found = refused(service, operation, parameters)
    assert found is not None
    assert found[0] == code
    assert found[1].startswith(message), found[1]


def test_a_shape_within_itself_is_checked_all_the_way_down():
    deep = {"Filter": {"And": [{"Or": [{"Dimensions": {"Key": "NO_SUCH_KEY", "Values": ["a"]}}]}]}}
    parameters = {"TimePeriod": {"Start": "2026-01-01", "End": "2026-02-01"}, "Granularity": "DAILY", "Metrics": ["x"]}
    found = validation.refused(calls.Call("ce", "GetCostAndUsage", {**parameters, **deep}, None, "", "json", "ce"))
    assert "'filter.and.1.member.or.1.member.dimensions.key'" in found.message


def test_what_is_secret_is_not_shown():
    secret = {"SecretId": "s", "SecretString": "x" * 65537}
    code, message = refused("secretsmanager", "PutSecretValue", secret)
    assert code == "ValidationException"
    assert "xxx" not in message


def test_every_pattern_of_the_services_in_use_is_understood():
    for service in SERVICES:
        model = operations.service_model(service)
        for name in model.shape_names:
            pattern = model.shape_for(name).metadata.get("pattern")
            assert pattern is None or validation.compile_pattern(pattern), (service, name, pattern)

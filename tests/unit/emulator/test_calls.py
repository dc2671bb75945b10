"""Requests, written by botocore's own serialisers, are read as the calls that they are."""

from __future__ import annotations

import functools
import io
from urllib.parse import urlencode

import botocore.serialize
import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from emulator import calls, operations

SERVICES = [
    "autoscaling",
    "cloudwatch",
    "ec2",
    "ecr",
    "ecs",
    "efs",
    "events",
    "iam",
    "kms",
    "logs",
    "mwaa",
    "resourcegroupstaggingapi",
    "s3",
    "s3control",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "sts",
]
SAME_PATH_AS_ANOTHER = {"ListDirectoryBuckets"}


def sample(shape, depth=0):
    """A value of a shape, with what is required."""
    match shape.type_name:
        case "structure":
            # Forms cannot carry what is empty, so there is always one.
            names = (shape.required_members or [*shape.members][:1]) if depth else shape.members
            return {name: sample(shape.members[name], depth + 1) for name in names if depth < 9}
        case "list":
            return [sample(shape.member, depth + 1)]
        case "map":
            return {sample(shape.key): sample(shape.value, depth + 1)}
        case "integer" | "long":
            return 7
        case "float" | "double":
            return 0.5
        case "boolean":
            return True
        case "timestamp":
            return "2026-11-30T00:00:00Z"
        case "blob":
            return b"bytes"
    return (shape.enum or ["text.is-plain"])[0]


@functools.cache
def model_of(service):
    # A loader of its own: clients of S3 take the bucket out of the paths of the loader that they share.
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def environ_of(service, operation, parameters, protocol=None):
    """A request as the emulator's server has it."""
    model = model_of(service)
    if protocol is None:
        protocol = next(name for name in model.metadata.get("protocols", [model.protocol]) if "cbor" not in name)
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    written = serializer.serialize_to_request(parameters, model.operation_model(operation))
    body = written["body"] or b""
    if isinstance(body, dict):
        body = urlencode(body, doseq=True)
    signing_name = model.signing_name
    headers = {
        **written["headers"],
        "Authorization": f"AWS4-HMAC-SHA256 Credential=AKID/20261130/eu-central-1/{signing_name}/aws4_request, Sig",
    }
    if protocol in {"query", "ec2"}:
        headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    query = written["query_string"]
    literal = written["url_path"].partition("?")[2]
    text = query if isinstance(query, str) else urlencode(query, doseq=True)
    path = written["url_path"].partition("?")[0]
    return {
        "REQUEST_METHOD": written["method"],
        "PATH_INFO": path,
        "RAW_URI": path,
        "QUERY_STRING": "&".join(part for part in (literal, text) if part),
        "wsgi.input": io.BytesIO(body.encode() if isinstance(body, str) else body),
        "HTTP_HOST": "127.0.0.1:4566",
        **{operations.environ_key(name): str(value) for name, value in headers.items()},
    }


@pytest.mark.parametrize("service", SERVICES)
def test_each_operation_of_a_service_is_found_with_its_parameters(service):
    for operation in model_of(service).operation_names:
        model = model_of(service).operation_model(operation)
        if model.deprecated or operation in SAME_PATH_AS_ANOTHER:
            continue
        shape = model.input_shape
        parameters = {} if shape is None else sample(shape)
        call = calls.read(environ_of(service, operation, parameters))
        assert (call.service, call.operation) == (service, operation)
        assert (call.access_key, call.region) == ("AKID", "eu-central-1")
        streams = call.protocol.startswith("rest") and operations.bindings(service, operation).streams
        payload = operations.bindings(service, operation).payload if streams else None
        assert set(call.parameters) == set(parameters) - {payload}, operation


def test_the_parameters_have_the_types_that_the_wire_gives():
    named = {"Bucket": "b", "Key": "a b/ü+", "Metadata": {"who": "me"}, "ContentLength": 3, "BucketKeyEnabled": True}
    assert calls.read(environ_of("s3", "PutObject", named)).parameters == named
    listed = {"Bucket": "b", "MaxKeys": 5, "Prefix": "x/+ y", "Delimiter": "/"}
    assert calls.read(environ_of("s3", "ListObjectsV2", listed)).parameters == listed
    ranges = {"InstanceIds": ["i-1", "i-2"], "MaxResults": 7, "Filters": [{"Name": "x", "Values": ["a", "b"]}]}
    assert calls.read(environ_of("ec2", "DescribeInstances", ranges)).parameters == ranges


def test_a_service_of_two_protocols_is_read_in_both():
    wanted = {"QueueUrl": "http://q", "MaxNumberOfMessages": 2}
    for protocol in ("json", "query"):
        call = calls.read(environ_of("sqs", "ReceiveMessage", wanted, protocol))
        assert (call.operation, call.parameters, call.protocol) == ("ReceiveMessage", wanted, protocol)


def test_a_presigned_address_has_its_signer():
    environ = environ_of("s3", "GetObject", {"Bucket": "b", "Key": "k"})
    del environ["HTTP_AUTHORIZATION"]
    environ["QUERY_STRING"] = "X-Amz-Credential=ASIA%2F20261130%2Feu-central-1%2Fs3%2Faws4_request"
    call = calls.read(environ)
    assert (call.operation, call.access_key, call.region) == ("GetObject", "ASIA", "eu-central-1")


def test_who_signs_nothing_has_no_key():
    environ = environ_of("s3", "GetObject", {"Bucket": "b", "Key": "k"})
    del environ["HTTP_AUTHORIZATION"]
    call = calls.read(environ)
    assert (call.service, call.access_key, call.region) == ("s3", None, "")


def test_what_no_model_has_is_named():
    environ = environ_of("ecs", "RunTask", {"taskDefinition": "t"})
    environ["HTTP_X_AMZ_TARGET"] = "AmazonEC2ContainerServiceV20141113.RunAll"
    with pytest.raises(calls.UnknownCall, match="RunAll of ecs") as raised:
        calls.read(environ)
    assert (raised.value.service, raised.value.protocol) == ("ecs", "json")
    environ = environ_of("s3", "GetObject", {"Bucket": "b", "Key": "k"})
    environ["REQUEST_METHOD"] = "PATCH"
    with pytest.raises(calls.UnknownCall, match="PATCH /b/k"):
        calls.read(environ)


@pytest.mark.parametrize("body", ["{", "[]"])
def test_what_is_no_json_is_malformed(body):
    environ = environ_of("ecs", "RunTask", {"taskDefinition": "t"})
    environ["wsgi.input"] = io.BytesIO(body.encode())
    with pytest.raises(calls.MalformedRequestError):
        calls.read(environ)

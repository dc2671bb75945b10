"""Requests, written by botocore's own serialisers, are read as the calls that they are."""

from __future__ import annotations

import io

import pytest

from emulator import calls, operations
from tests.wire import SERVICES, environ_of, model_of, sample

SAME_PATH_AS_ANOTHER = {"ListDirectoryBuckets"}


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

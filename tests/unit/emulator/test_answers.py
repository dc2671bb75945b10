"""Refusals, read by botocore's own parsers."""

from __future__ import annotations

import botocore.parsers
import pytest
from botocore.awsrequest import HeadersDict

from emulator import answers, calls, operations


def an_operation(service):
    return operations.service_model(service).operation_names[0]


@pytest.mark.parametrize(
    ("service", "protocol"),
    [
        ("autoscaling", "query"),
        ("cloudwatch", "json"),
        ("cloudwatch", "query"),
        ("ec2", "ec2"),
        ("ecs", "json"),
        ("mwaa", "rest-json"),
        ("s3", "rest-xml"),
        ("s3control", "rest-xml"),
    ],
)
@pytest.mark.parametrize("status", [400, 501])
def test_a_client_reads_code_and_message(service, protocol, status):
    call = calls.Call(service, "Any", {}, None, "", protocol, service)
    answer = answers.refusal(call, "SomeCode", "it's <so> & so", status)
    read = botocore.parsers.create_parser(protocol).parse(
        {"headers": HeadersDict(answer.headers.items()), "body": answer.get_data(), "status_code": status},
        operations.operation_model(service, an_operation(service)).output_shape,
    )
    assert read["Error"]["Code"] == "SomeCode"
    assert read["Error"]["Message"] == "it's <so> & so"
    assert read["ResponseMetadata"]["HTTPStatusCode"] == status
    assert read["ResponseMetadata"]["RequestId"]


def test_a_service_alone_is_answered_in_its_own_protocol():
    assert b"<Error><Code>" in answers.refusal("s3", "A", "b").get_data()
    assert answers.refusal("cloudwatch", "A", "b").get_json(force=True) == {"__type": "A", "message": "b"}
    assert answers.refusal("ecs", "A", "b").headers["x-amzn-ErrorType"] == "A"

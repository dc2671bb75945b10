"""Answers are held to the models' outputs."""

from __future__ import annotations

import json

import pytest

from emulator.calls import Call
from emulator.shapes import strangers


def told(service, operation, protocol, body):
    return strangers(Call(service, operation, {}, None, "", protocol, service), body)


def task(**fields):
    return json.dumps({"tasks": [{"taskArn": "a", "lastStatus": "RUNNING", **fields}], "failures": []}).encode()


@pytest.mark.parametrize(
    ("fields", "stranger"),
    [
        ({}, None),
        ({"stopCode": "TaskFailedToStart", "createdAt": 1.5, "version": 2}, None),
        ({"stopcode": "TaskFailedToStart"}, "DescribeTasks.tasks[].stopcode: no such member"),
        ({"lastStatus": "GONE"}, "DescribeTasks.tasks[].lastStatus: 'GONE' is none of "),
        ({"stopCode": "Tired"}, "DescribeTasks.tasks[].stopCode: 'Tired' is none of "),
        ({"version": "2"}, "DescribeTasks.tasks[].version: '2' is no long"),
        ({"containers": {}}, "DescribeTasks.tasks[].containers: {} is no list"),
    ],
)
def test_json(fields, stranger):
    found = told("ecs", "DescribeTasks", "json", task(**fields))
    assert [each[: len(stranger)] for each in found] == [stranger] if stranger else found == []


def test_query():
    def group(inside):
        members = f"<AutoScalingGroups><member>{inside}</member></AutoScalingGroups>"
        result = f"<DescribeAutoScalingGroupsResult>{members}</DescribeAutoScalingGroupsResult>"
        body = f'<DescribeAutoScalingGroupsResponse xmlns="x">{result}</DescribeAutoScalingGroupsResponse>'
        return told("autoscaling", "DescribeAutoScalingGroups", "query", body.encode())

    assert group("<MinSize>1</MinSize><Instances><member><InstanceId>i</InstanceId></member></Instances>") == []
    start = "DescribeAutoScalingGroups.AutoScalingGroups[]"
    assert group("<Size>1</Size>") == [f"{start}.Size: no such member"]
    assert group("<MinSize>one</MinSize>") == [f"{start}.MinSize: 'one' is no integer"]
    state = "<Instances><member><LifecycleState>Gone</LifecycleState></member></Instances>"
    assert group(state)[0].startswith(f"{start}.Instances[].LifecycleState: 'Gone' is none of ")
    assert group("<Instances><item/></Instances>") == [f"{start}.Instances.item: a list has member"]


def test_s3_s_flattened_lists():
    def listing(inside):
        return told("s3", "ListObjectsV2", "rest-xml", f"<ListBucketResult>{inside}</ListBucketResult>".encode())

    assert listing("<Contents><Key>k</Key><Size>1</Size></Contents><KeyCount>1</KeyCount>") == []
    assert listing("<Contents><Keys>k</Keys></Contents>") == ["ListObjectsV2.Contents.Keys: no such member"]
    assert listing("<IsTruncated>False</IsTruncated>") == ["ListObjectsV2.IsTruncated: 'False' is no boolean"]

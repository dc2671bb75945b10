"""Somebody else's network: it is checked while planning, gets endpoints if it is told to, and is left as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .conftest import REGION, Emulator, Terraform

pytestmark = pytest.mark.slow


def test_endpoints_in_an_existing_network(terraform: Terraform, emulator: Emulator, tmp_path):
    ec2 = emulator.client("ec2")
    existing = make_network(ec2)
    before = network(ec2, existing["vpc_id"])
    values = tmp_path / "network.tfvars.json"
    arguments = ("-var-file=environments/local.tfvars", f"-var-file={values}", "-target=module.network")

    def write(**found: Any) -> None:
        values.write_text(json.dumps({"network": {"egress": "endpoints", "existing": {**existing, **found}}}))

    # MWAA's names would not resolve, and both subnets lie in one zone.
    ec2.modify_vpc_attribute(VpcId=existing["vpc_id"], EnableDnsHostnames={"Value": False})
    write(subnet_ids=dict.fromkeys("ab", existing["subnet_ids"]["a"]))
    refusal = terraform.refusal("plan", "-input=false", *arguments)
    assert "turn on enableDnsSupport" in refusal
    assert f"must name a subnet of {REGION}b" in refusal
    ec2.modify_vpc_attribute(VpcId=existing["vpc_id"], EnableDnsHostnames={"Value": True})

    write()
    terraform.run("apply", "-input=false", "-auto-approve", *arguments)
    terraform.run("plan", "-input=false", "-detailed-exitcode", *arguments)
    endpoints = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [existing["vpc_id"]]}])["VpcEndpoints"]
    gateways = [endpoint for endpoint in endpoints if endpoint["VpcEndpointType"] == "Gateway"]
    assert [gateway["RouteTableIds"] for gateway in gateways] == [existing["route_table_ids"]]
    assert len(endpoints) == 16
    for endpoint in endpoints:
        if endpoint not in gateways:
            assert set(endpoint["SubnetIds"]) == set(existing["subnet_ids"].values()), endpoint["ServiceName"]

    terraform.run("destroy", "-input=false", "-auto-approve", *arguments)
    assert network(ec2, existing["vpc_id"]) == before


def make_network(ec2: Any) -> dict[str, Any]:
    """A VPC with a private subnet in each of two zones, as `network.existing` names it."""
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = {
        letter: ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{number}.0/24", AvailabilityZone=f"{REGION}{letter}")
        for number, letter in enumerate("ab")
    }
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    return {
        "vpc_id": vpc,
        "subnet_ids": {letter: answer["Subnet"]["SubnetId"] for letter, answer in subnets.items()},
        "route_table_ids": [table],
    }


def network(ec2: Any, vpc: str) -> list[list[str]]:
    """What lies in a VPC."""
    of_vpc = [{"Name": "vpc-id", "Values": [vpc]}]
    groups = ec2.describe_security_groups(Filters=of_vpc)["SecurityGroups"]
    subnets = ec2.describe_subnets(Filters=of_vpc)["Subnets"]
    tables = ec2.describe_route_tables(Filters=of_vpc)["RouteTables"]
    endpoints = ec2.describe_vpc_endpoints(Filters=of_vpc)["VpcEndpoints"]
    return [
        sorted(group["GroupId"] for group in groups),
        sorted(subnet["SubnetId"] for subnet in subnets),
        sorted(f"{table['RouteTableId']} {len(table['Routes'])}" for table in tables),
        sorted(endpoint["VpcEndpointId"] for endpoint in endpoints if endpoint["State"] != "deleted"),
    ]

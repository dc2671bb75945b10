"""What is there in the emulator, service by service, to compare before and after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .conftest import Emulator

ACCOUNT = "123456789012"
# What AWS still lists for a while after it is gone.
GONE = {"deleted", "deleting", "INACTIVE", "PendingDeletion", "terminated"}
# Without volumes and network interfaces: the emulator keeps those of ended instances, AWS deletes them.
EC2 = {
    "elastic addresses": ("describe_addresses", "Addresses", "AllocationId"),
    "endpoints": ("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "flow logs": ("describe_flow_logs", "FlowLogs", "FlowLogId"),
    "internet gateways": ("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "launch templates": ("describe_launch_templates", "LaunchTemplates", "LaunchTemplateName"),
    "NAT gateways": ("describe_nat_gateways", "NatGateways", "NatGatewayId"),
    "networks": ("describe_vpcs", "Vpcs", "VpcId"),
    "route tables": ("describe_route_tables", "RouteTables", "RouteTableId"),
    "security groups": ("describe_security_groups", "SecurityGroups", "GroupId"),
    "subnets": ("describe_subnets", "Subnets", "SubnetId"),
}


def inventory(emulator: Emulator) -> dict[str, list[str]]:
    """Names or ids by kind, sorted; kinds with nothing are left out."""
    client = emulator.client
    ec2, ecs, iam, kms = (client(service) for service in ("ec2", "ecs", "iam", "kms"))
    found = {kind: named(getattr(ec2, call)()[answer], key) for kind, (call, answer, key) in EC2.items()}
    found |= {
        "alarms": named(client("cloudwatch").describe_alarms()["MetricAlarms"], "AlarmName"),
        "aliases": [
            alias["AliasName"]
            for alias in kms.list_aliases()["Aliases"]
            if not alias["AliasName"].startswith("alias/aws/")
        ],
        "auto scaling groups": named(
            client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"], "AutoScalingGroupName"
        ),
        "buckets": named(client("s3").list_buckets()["Buckets"], "Name"),
        "budgets": named(client("budgets").describe_budgets(AccountId=ACCOUNT).get("Budgets", []), "BudgetName"),
        "clusters": named(
            ecs.describe_clusters(clusters=ecs.list_clusters()["clusterArns"])["clusters"], "clusterName"
        ),
        "dashboards": named(client("cloudwatch").list_dashboards()["DashboardEntries"], "DashboardName"),
        "functions": named(client("lambda").list_functions()["Functions"], "FunctionName"),
        "instance profiles": named(iam.list_instance_profiles()["InstanceProfiles"], "InstanceProfileName"),
        "instances": named(
            [one for some in ec2.describe_instances()["Reservations"] for one in some["Instances"]], "InstanceId"
        ),
        "keys": named(
            [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]], "KeyId"
        ),
        "log groups": named(client("logs").describe_log_groups()["logGroups"], "logGroupName"),
        "MWAA environments": client("mwaa").list_environments()["Environments"],
        "OIDC providers": named(iam.list_open_id_connect_providers()["OpenIDConnectProviderList"], "Arn"),
        "policies": named(iam.list_policies(Scope="Local")["Policies"], "PolicyName"),
        "repositories": named(client("ecr").describe_repositories()["repositories"], "repositoryName"),
        "roles": [role["RoleName"] for role in iam.list_roles()["Roles"] if "/aws-service-role/" not in role["Path"]],
        "rules": named(client("events").list_rules()["Rules"], "Name"),
        "scaling policies": named(client("autoscaling").describe_policies()["ScalingPolicies"], "PolicyName"),
        "schedules": named(client("scheduler").list_schedules()["Schedules"], "Name"),
        "state machines": named(client("stepfunctions").list_state_machines()["stateMachines"], "name"),
        # A test's own queue may listen.
        "subscriptions": [
            one["SubscriptionArn"]
            for one in client("sns").list_subscriptions()["Subscriptions"]
            if one["Protocol"] != "sqs"
        ],
        "task definitions": ecs.list_task_definitions(status="ACTIVE")["taskDefinitionArns"],
        "topics": named(client("sns").list_topics()["Topics"], "TopicArn"),
    }
    return {kind: sorted(things) for kind, things in found.items() if things}


def named(things: Iterable[dict[str, Any]], key: str) -> list[str]:
    """What things are called; those that are gone are left out."""
    return [thing[key] for thing in things if state(thing) not in GONE]


def state(thing: dict[str, Any]) -> str:
    value = next((thing[key] for key in ("State", "status", "KeyState") if key in thing), "")
    return str(value["Name"] if isinstance(value, dict) else value)

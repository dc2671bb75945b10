"""What Terraform has made: keys, network, Airflow, the Windows of hosts and images."""

import re
from typing import Any

from botocore.exceptions import ClientError

from scripts.core.airflow import Airflow
from scripts.environments.doctor.check import Check, Context, Finding, State, doubtful, fine, wrong
from scripts.environments.doctor.quotas import Need
from scripts.environments.doctor.release import image_configs
from scripts.terraform.imports import AIRFLOW_GONE, AIRFLOW_READY
from scripts.windows.base import BUILDS

_PARAMETER = "resolve:ssm:"


class Up(Check):
    """Looks whether the environment has been applied."""

    name = "environment"
    # There is nothing behind it to look at.
    stops_at = (State.DOUBTFUL, State.WRONG)

    def run(self, context: Context) -> Finding:
        """See whether it was applied."""
        try:
            outputs = context.outputs
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchBucket":
                raise
            environment = context.settings.environment
            return doubtful("the bucket of its state is not there yet", f"invoke bootstrap --env {environment}")
        if not outputs.get("deployment"):
            return doubtful("it is not up", context.again)
        return fine("it was applied")


class Key(Check):
    """A KMS key by its alias."""

    def alias(self, context: Context) -> str:
        """Name it."""
        raise NotImplementedError

    def made_by(self, context: Context) -> str:
        """Name the verb that makes it."""
        raise NotImplementedError

    def run(self, context: Context) -> Finding:
        """See that what it encrypts can be read."""
        alias = self.alias(context)
        try:
            key = context.aws.client("kms").describe_key(KeyId=alias)["KeyMetadata"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "NotFoundException":
                raise
            return doubtful(f"{alias} is not there", self.made_by(context))
        state = key["KeyState"]
        if state in {"Enabled", "Updating"}:
            return fine(f"{alias} is enabled")
        first = f"aws kms cancel-key-deletion --key-id {key['KeyId']}, then " if state == "PendingDeletion" else ""
        return wrong(
            f"{alias} is {state}: what it encrypts cannot be read", f"{first}aws kms enable-key --key-id {key['KeyId']}"
        )


class StateKey(Key):
    """Looks at the key by which Terraform's state is encrypted."""

    name = "KMS key of Terraform's state"

    def alias(self, context: Context) -> str:
        """Name the key."""
        return context.settings.state_key_alias

    def made_by(self, context: Context) -> str:
        """Say what makes it."""
        return f"invoke bootstrap --env {context.settings.environment}"


class EnvironmentKey(Key):
    """Looks at the key by which the environment encrypts."""

    name = "KMS key of the environment"

    def alias(self, context: Context) -> str:
        """Name the key."""
        return f"alias/winbatch-{context.settings.environment}"

    def made_by(self, context: Context) -> str:
        """Say what makes it."""
        return context.again


class Subnets(Check):
    """Compares the addresses that are free with the instances that there may be."""

    name = "subnets' addresses"

    def run(self, context: Context) -> Finding:
        """Compare the free ones with what the instances need that do not run yet."""
        need = Need(context)
        found = context.aws.client("ec2").describe_subnets(SubnetIds=context.cluster["subnets"])["Subnets"]
        free = sum(int(subnet["AvailableIpAddressCount"]) for subnet in found)
        group = context.cluster["auto_scaling_group"]
        groups = context.aws.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[group])
        running = len(groups["AutoScalingGroups"][0]["Instances"]) if groups["AutoScalingGroups"] else 0
        wanted = max(need.instances - running, 0) * need.interfaces
        said = f"{free} are free in {len(found)} subnets, {wanted} could be needed"
        if wanted and free < need.interfaces:
            return wrong(f"{said}: no instance starts", "free some, or choose larger subnets (network)")
        if free < wanted:
            return doubtful(said, "choose larger subnets (network), or a smaller cluster.max_instances")
        return fine(said)


class WayOut(Check):
    """Looks how the subnets reach AWS."""

    name = "way out of the subnets"

    def run(self, context: Context) -> Finding:
        """See that NAT gateways or endpoints are there and work."""
        egress = str((context.values.get("network") or {}).get("egress") or "endpoints")
        if egress == "existing":
            return fine("the network's own, which nobody else can judge")
        ec2 = context.aws.client("ec2")
        subnet = ec2.describe_subnets(SubnetIds=context.cluster["subnets"][:1])["Subnets"][0]
        here = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}]
        if egress == "endpoints":
            pages = ec2.get_paginator("describe_vpc_endpoints").paginate(Filters=here)
            states = {one["ServiceName"]: one["State"] for page in pages for one in page["VpcEndpoints"]}
            what = "VPC endpoints"
        else:
            pages = ec2.get_paginator("describe_nat_gateways").paginate(Filter=here)
            every = [one for page in pages for one in page["NatGateways"]]
            # A gateway that was deleted is listed for an hour.
            states = {one["NatGatewayId"]: one["State"] for one in every if one["State"] != "deleted"}
            what = "NAT gateways"
        if not states:
            return wrong(f"there are no {what} in {subnet['VpcId']}", context.again)
        # The endpoints' states are written in either case (botocore, VpcEndpoint.State).
        broken = [f"{name} is {state}" for name, state in sorted(states.items()) if state.lower() != "available"]
        if broken:
            return wrong(f"{what}: {', '.join(broken)}", f"invoke drift --env {context.settings.environment}")
        return fine(f"{what}: all {len(states)} are available")


class AirflowServes(Check):
    """Looks whether Airflow is there and answers."""

    name = "Airflow"

    def run(self, context: Context) -> Finding:
        """Ask MWAA for its state and Airflow for what it could not import."""
        name, client = context.outputs["mwaa_environment"], context.aws.client("mwaa")
        status = client.get_environment(Name=name)["Environment"]["Status"]
        if status in AIRFLOW_GONE:
            return wrong(f"{name} is {status}", f"{context.again} brings it back, or says why not")
        if status not in AIRFLOW_READY:
            return doubtful(f"{name} is {status}", "wait until MWAA is done")
        errors = Airflow(client, name).import_errors()
        if errors:
            return doubtful(f"{len(errors)} DAG files cannot be imported: {errors[0]}", "mend it: invoke dags.release")
        if status != "AVAILABLE":
            return doubtful(f"{name} answers, and its last update failed", context.again)
        return fine(f"{name} is {status} and answers")


class WindowsBuilds(Check):
    """Compares the images' build of Windows with that of the hosts."""

    name = "Windows of images and hosts"

    def run(self, context: Context) -> Finding:
        """Compare the builds, which containers share with their hosts."""
        server = _server(context)
        if server is None:
            return doubtful("nothing says which Windows the hosts' AMI holds", "tag it: windows = 2022-Core, say")
        host = str(BUILDS[server])
        builds: dict[str, str] = {}
        for workload, config in image_configs(context).items():
            parts = str(config.get("os.version", "")).split(".")
            builds[workload] = parts[2] if len(parts) > 2 else "unknown"  # noqa: PLR2004 - major, minor, build
        if not builds:
            return doubtful("no image of ours is deployed yet", context.again)
        differ = [f"{workload} is of build {build}" for workload, build in builds.items() if build != host]
        if differ:
            return wrong(
                f"hosts run Server {server} (build {host}), and {', '.join(differ)}",
                f"choose the base images for {server} (images/*/Dockerfile): {context.again}",
            )
        return fine(f"hosts run Server {server}, and all {len(builds)} images are of its build {host}")


def _server(context: Context) -> str | None:
    """The Windows Server of the newest launch template's AMI, by its tag or its name; None where neither says it."""
    ec2 = context.aws.client("ec2")
    name = f"winbatch-{context.settings.environment}"
    found = ec2.describe_launch_template_versions(LaunchTemplateName=name, Versions=["$Latest"])
    image: str = found["LaunchTemplateVersions"][0]["LaunchTemplateData"]["ImageId"]
    if image.startswith(_PARAMETER):
        parameter = context.aws.client("ssm").get_parameter(Name=image.removeprefix(_PARAMETER))
        image = parameter["Parameter"]["Value"]
    images: list[dict[str, Any]] = ec2.describe_images(ImageIds=[image])["Images"]
    if not images:
        return None
    tags = {tag["Key"]: tag["Value"] for tag in images[0].get("Tags", ())}
    # modules/image_builder tags its AMIs 2022-Core; AWS's are called Windows_Server-2022-English-Core-….
    server = re.search(r"(?:^|Windows_Server-)(\d{4})-", str(tags.get("windows") or images[0].get("Name", "")))
    return server[1] if server and server[1] in BUILDS else None

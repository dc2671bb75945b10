"""Taking an environment down on AWS: what must go before Terraform can destroy, and what Terraform leaves behind."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from scripts.core.airflow import Airflow
from scripts.core.aws import Aws, tagged
from scripts.core.errors import AirflowError, PreflightError
from winbatch.scaling import BUSY

# Until ECS tasks and instances are gone, s. A Windows instance takes minutes to shut down.
DRAIN_SECONDS = 900.0
LOOK_SECONDS = 2.0
# What was asked of AWS is asked again only after this long, s.
AGAIN_SECONDS = 300.0
# The lifecycle states in which an instance's protection can be changed; one in another makes the whole call fail
# (guardian/riff-raff#510, infrahouse/infrahouse-toolkit#223).
PROTECTABLE = frozenset({"InService", "EnteringStandby", "Standby"})
# What AWS still lists of what it has ended or is ending.
GOING = {
    "instance": frozenset({"shutting-down", "terminated"}),
    "natgateway": frozenset({"deleting", "deleted"}),
    "task": frozenset({"STOPPED", "DELETED"}),
}
NOTE = "the environment is taken down"
_ROOT = "winbatch"
Progress = Callable[[str], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Target:
    """What is taken down.

    Attributes:
        name: the prefix of every name, `winbatch-<environment>`.
        environment: as its tags say.
        cluster: ECS cluster.
        group: Auto Scaling group.
    """

    name: str
    environment: str
    cluster: str
    group: str


def stop_jobs(airflow: Airflow) -> int:
    """Mark every DAG run that has not ended failed, so that no engine asks for anything again; how many."""
    try:
        runs = airflow.unfinished()
        for run in runs:
            airflow.mark_failed(str(run["dag_id"]), str(run["dag_run_id"]), NOTE)
    except (AirflowError, ClientError, BotoCoreError):
        # An Airflow that does not answer goes with the rest.
        return 0
    return len(runs)


def drain(aws: Aws, target: Target, progress: Progress, patience: float = DRAIN_SECONDS) -> str:
    """Stop the ECS tasks and scale in to nothing, whatever is protected; what was there, in words.

    Raises:
        PreflightError: it does not empty.
    """
    ecs, scaling = aws.client("ecs"), aws.client("autoscaling")
    stopped: set[str] = set()
    asked = Asked()
    began = time.monotonic()
    while True:
        in_group = scale_in(scaling, target.group, asked)
        tasks, instances = _tasks(ecs, target.cluster), _instances(ecs, target.cluster)
        for arn in asked.anew("stop", tasks):
            # One that ECS has forgotten meanwhile is an invalid parameter.
            with _unless("InvalidParameterException"):
                ecs.stop_task(cluster=target.cluster, task=arn, reason=NOTE)
        stopped |= set(tasks)
        for some in _chunks(asked.anew("drain", instances), 10):
            ecs.update_container_instances_state(cluster=target.cluster, containerInstances=some, status="DRAINING")
        if not tasks and not instances and not in_group:
            return f"{len(stopped)} ECS tasks stopped"
        if time.monotonic() - began > patience:
            raise PreflightError(
                f"{len(tasks)} ECS tasks and {max(len(instances), in_group)} instances are still there after"
                f" {patience:.0f} s: look at cluster {target.cluster}, and call again"
            )
        progress(f"{len(tasks)} ECS tasks, {len(instances)} instances left")
        time.sleep(LOOK_SECONDS)


def held(aws: Aws, buckets: Sequence[str], repositories: Sequence[str]) -> dict[str, int]:
    """What buckets and repositories hold that destroying would lose: name to objects (at most 1,000) or images."""
    s3, ecr = aws.client("s3"), aws.client("ecr")
    found: dict[str, int] = {}
    for bucket in buckets:
        try:
            page = s3.list_object_versions(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchBucket":
                continue
            raise
        found[bucket] = len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))
    for repository in repositories:
        try:
            found[repository] = len(ecr.describe_images(repositoryName=repository)["imageDetails"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "RepositoryNotFoundException":
                raise
    return {name: count for name, count in found.items() if count}


def empty(aws: Aws, buckets: Sequence[str], repositories: Sequence[str], progress: Progress) -> None:
    """Delete all versions of all objects, and all images."""
    s3, ecr = aws.client("s3"), aws.client("ecr")
    for bucket in buckets:
        gone = 0
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            keys = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in versions]
            if keys:
                answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
                for failed in answer.get("Errors", []):
                    raise PreflightError(f"{bucket}/{failed['Key']} cannot be deleted: {failed.get('Message')}")
            gone += len(keys)
            progress(f"{bucket}: {gone} versions deleted")
    for repository in repositories:
        for page in ecr.get_paginator("list_images").paginate(repositoryName=repository):
            digests = sorted({entry["imageDigest"] for entry in page["imageIds"]})
            if digests:
                ids = [{"imageDigest": digest} for digest in digests]
                ecr.batch_delete_image(repositoryName=repository, imageIds=ids)
        progress(f"{repository}: no image left")


def sweep(aws: Aws, target: Target) -> list[str]:
    """Delete what AWS made for us beside Terraform, or Terraform leaves; what it was, a line each."""
    return [*_log_groups(aws, target), *_interfaces(aws, target), *_task_definitions(aws, target)]


def left(aws: Aws, target: Target) -> list[str]:
    """The ARNs that still carry our tags, without what is on its way out."""
    arns = tagged(aws, {"environment": target.environment, "root": _ROOT})
    return sorted(arn for arn in arns if not _going(aws, arn))


def _going(aws: Aws, arn: str) -> bool:
    """Whether something is deleted already, and AWS only shows it for a while."""
    service, resource = arn.split(":", 5)[2], arn.split(":", 5)[5]
    name = resource.rpartition("/")[2]
    try:
        if service == "kms":
            return bool(aws.client("kms").describe_key(KeyId=arn)["KeyMetadata"]["KeyState"] == "PendingDeletion")
        if service == "ec2" and resource.startswith("instance/"):
            found = aws.client("ec2").describe_instances(InstanceIds=[name])["Reservations"]
            states = {entry["State"]["Name"] for group in found for entry in group["Instances"]}
            return states <= GOING["instance"]
        if service == "ec2" and resource.startswith("natgateway/"):
            gateways = aws.client("ec2").describe_nat_gateways(NatGatewayIds=[name])["NatGateways"]
            return {gateway["State"] for gateway in gateways} <= GOING["natgateway"]
        if service == "ecs" and resource.startswith("task-definition/"):
            definition = aws.client("ecs").describe_task_definition(taskDefinition=arn)["taskDefinition"]
            return bool(definition["status"] != "ACTIVE")
        if service == "ecs" and resource.startswith("task/"):
            # ECS remembers a task for an hour after it has stopped, tags and all.
            cluster = resource.split("/")[1]
            tasks = aws.client("ecs").describe_tasks(cluster=cluster, tasks=[arn])["tasks"]
            return {task["lastStatus"] for task in tasks} <= GOING["task"]
        if service == "ecs" and resource.startswith("cluster/"):
            clusters = aws.client("ecs").describe_clusters(clusters=[arn])["clusters"]
            return all(cluster["status"] == "INACTIVE" for cluster in clusters)
    except ClientError:
        # Asked for by its name, it is not there: the list of tags lags behind.
        return True
    return False


def _log_groups(aws: Aws, target: Target) -> Iterator[str]:
    logs = aws.client("logs")
    for prefix in (
        f"airflow-{target.name}-",
        f"/winbatch/{target.environment}/",
        f"/aws/ecs/containerinsights/{target.name}/",
    ):
        for page in list(logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=prefix)):
            for group in page["logGroups"]:
                logs.delete_log_group(logGroupName=group["logGroupName"])
                yield f"log group {group['logGroupName']}"


def _interfaces(aws: Aws, target: Target) -> Iterator[str]:
    """Network interfaces of ours that nothing uses: ECS and MWAA release them late, and a subnet waits for them."""
    ec2 = aws.client("ec2")
    vpcs = ec2.describe_vpcs(
        Filters=[{"Name": "tag:environment", "Values": [target.environment]}, {"Name": "tag:root", "Values": [_ROOT]}]
    )["Vpcs"]
    if not vpcs:
        return
    found = ec2.describe_network_interfaces(
        Filters=[
            {"Name": "vpc-id", "Values": [vpc["VpcId"] for vpc in vpcs]},
            {"Name": "status", "Values": ["available"]},
        ]
    )["NetworkInterfaces"]
    for interface in found:
        if interface["Status"] == "available":
            ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
            yield f"network interface {interface['NetworkInterfaceId']}"


def _task_definitions(aws: Aws, target: Target) -> Iterator[str]:
    """Old revisions stay for rollbacks as long as the environment does, so Terraform does not remove them."""
    ecs = aws.client("ecs")
    pages = ecs.get_paginator("list_task_definition_families").paginate(familyPrefix=f"{target.name}-", status="ACTIVE")
    for family in [family for page in pages for family in page["families"]]:
        revisions = ecs.get_paginator("list_task_definitions").paginate(familyPrefix=family, status="ACTIVE")
        for arn in [arn for page in revisions for arn in page["taskDefinitionArns"]]:
            ecs.deregister_task_definition(taskDefinition=arn)
            yield f"task definition {arn.rpartition('/')[2]}"


def _tasks(ecs: Any, cluster: str) -> list[str]:
    return _arns(ecs, "list_tasks", "taskArns", cluster=cluster, desiredStatus="RUNNING")


def _instances(ecs: Any, cluster: str) -> list[str]:
    return _arns(ecs, "list_container_instances", "containerInstanceArns", cluster=cluster)


def _arns(ecs: Any, call: str, key: str, **arguments: Any) -> list[str]:
    try:
        return [arn for page in ecs.get_paginator(call).paginate(**arguments) for arn in page[key]]
    except ClientError as error:
        if error.response["Error"]["Code"] == "ClusterNotFoundException":
            return []
        raise


class Asked:
    """What AWS was asked for, and when: what takes it minutes is not asked for at each look."""

    def __init__(self) -> None:
        self._at: dict[tuple[str, str], float] = {}

    def anew(self, what: str, names: Sequence[str]) -> list[str]:
        """Those that are to be asked for now: not asked for yet, or long ago."""
        now = time.monotonic()
        due = [name for name in names if now - self._at.get((what, name), -AGAIN_SECONDS) >= AGAIN_SECONDS]
        self._at |= {(what, name): now for name in due}
        return due


def scale_in(scaling: Any, name: str, asked: Asked | None = None) -> int:
    """Ask a group for nothing, and let every instance of it go, protected or kept warm; how many there are still."""
    asked = asked or Asked()
    groups = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    if not groups:
        return 0
    group = groups[0]
    protected = [
        instance["InstanceId"]
        for instance in group["Instances"]
        if instance["ProtectedFromScaleIn"] and instance["LifecycleState"] in PROTECTABLE
    ]
    for some in _chunks(asked.anew("unprotect", protected), 50):
        _unprotect(scaling, name, some)
    # Without these at nothing the group would go on launching.
    if group["MinSize"] or group["DesiredCapacity"] or group.get("NewInstancesProtectedFromScaleIn"):
        with _unless(*BUSY):
            scaling.update_auto_scaling_group(
                AutoScalingGroupName=name, MinSize=0, DesiredCapacity=0, NewInstancesProtectedFromScaleIn=False
            )
    pool = group.get("WarmPoolConfiguration")
    if pool and pool.get("Status") != "PendingDelete":
        with _unless(*BUSY):
            scaling.delete_warm_pool(AutoScalingGroupName=name, ForceDelete=True)
    return len(group["Instances"])


@contextlib.contextmanager
def _unless(*codes: str) -> Iterator[None]:
    """Let an answer with one of these codes pass: the next look asks again, if it must."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise
        _log.info("not now: %s", error)


def _unprotect(scaling: Any, name: str, ids: Sequence[str]) -> None:
    """Take the protection of instances away; one that went on its way meanwhile does not keep it for the others."""
    try:
        scaling.set_instance_protection(AutoScalingGroupName=name, InstanceIds=[*ids], ProtectedFromScaleIn=False)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        if len(ids) == 1:
            _log.warning("%s stays as it is: %s", ids[0], error)
            return
        for instance in ids:
            _unprotect(scaling, name, [instance])


def _chunks(items: Sequence[str], size: int) -> Iterator[list[str]]:
    for first in range(0, len(items), size):
        yield list(items[first : first + size])

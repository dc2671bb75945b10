"""The engine's ports on AWS: boto3 on S3, ECS and Auto Scaling."""

import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import batched
from typing import Any

from winbatch import denials, metrics
from winbatch.capacity import Group, Instance
from winbatch.deployment import Deployment, Workload
from winbatch.ecs_tasks import Worker, advice, no_room
from winbatch.metrics import Sample
from winbatch.ports import Refused, Throttled
from winbatch.scaling import Scaling
from winbatch.storage import Entry, Object
from winbatch.throttling import throttled
from winbatch.working.store import AT_ONCE, Store

log = logging.getLogger(__name__)

# Limits of one call.
_DESCRIBE_TASKS = 100
_DESCRIBE_INSTANCES = 100
_UPDATE_INSTANCES = 10

# What RunTask says when trying again will not help: rights, or a cluster or task definition that is not there or wrong
# (botocore, RunTask's errors).
_REFUSED = frozenset(
    {
        "AccessDeniedException",
        "BlockedException",
        "ClientException",
        "ClusterNotFoundException",
        "InvalidParameterException",
        "PlatformTaskDefinitionIncompatibilityException",
        "UnsupportedFeatureException",
    }
)
_GRANT = "give it that right and apply again: invoke up"
_LOOK = "look at the cluster, the task definition and the role's rights, and apply again: invoke up"


class AwsPorts:
    """Ports on one deployment. Credentials and endpoint come from the environment, as boto3 finds them."""

    def __init__(self, deployment: Deployment, client: Callable[[str], Any] | None = None) -> None:
        """Connect, or use clients that are connected: `client` gives one by its service's name."""
        self._deployment = deployment
        self._cluster = deployment.cluster.name
        self._client = client or _connect(deployment.region)
        self._data = Store(self._client("s3"), deployment.data_bucket)
        self._ecs = self._client("ecs")
        self._scaling = Scaling(self._client("autoscaling"), deployment.cluster)

    def now(self) -> dt.datetime:
        """Give the time in UTC."""
        return dt.datetime.now(dt.UTC)

    def where(self, key: str) -> str:
        """Give the address of an object, for people."""
        return self._data.where(key)

    def get(self, key: str) -> Object | None:
        """Read an object; None where there is none. What is too large is not read, and its `body` says so."""
        return self._data.find_version(key)

    def put(self, key: str, body: bytes, *, etag: str | None = None, new: bool = False) -> str:
        """Write; only over `etag`, or only where nothing is (`new`), else Conflict. Returns the new ETag."""
        return self._data.put(key, body, etag=etag, new=new)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects."""
        self._data.delete(keys)

    def get_many(self, keys: Sequence[str]) -> list[Object | None]:
        """Read objects at once, in the order of the keys; None for each that is not there."""
        return self._data.find_many(keys)

    def listing(self, prefix: str, first: str = "", last: str = "") -> Iterator[Entry]:
        """List objects below a prefix, by key: from `prefix + first` on, to before `prefix + last`."""
        # S3 lists keys that come after the first one; no key of ours is a bare number.
        return self._data.listing(prefix, after=first, before=last)

    def workers(self, arns: Sequence[str]) -> list[Worker]:
        """Describe ECS tasks; one that ECS does not know any more is `missing`."""
        found: list[Worker] = []
        for batch in batched(arns, _DESCRIBE_TASKS):
            answer = self._ecs.describe_tasks(cluster=self._cluster, tasks=list(batch))
            found += [Worker.of(task) for task in answer["tasks"]]
            found += [
                Worker(arn=failure["arn"], status="missing")
                for failure in answer["failures"]
                if failure["reason"] == "MISSING"
            ]
        return found

    def run(self, workload: Workload, count: int, started_by: str, token: str, stage: str) -> list[str]:
        """Start ECS tasks of a workload on a stage; fewer when there is no room. Returns their ARNs.

        The same token again starts nothing more.

        Raises:
            Throttled: AWS asks for a pause.
            Refused: ECS does not start them, or cannot.
        """
        from botocore.exceptions import ClientError  # noqa: PLC0415

        cluster = self._deployment.cluster
        environment = [{"name": "WINBATCH_STAGE", "value": self._data.where(stage)}]
        try:
            answer = self._ecs.run_task(
                cluster=self._cluster,
                taskDefinition=workload.task_definition,
                # A launch type would win over the strategy: it must not be given.
                capacityProviderStrategy=[{"capacityProvider": cluster.capacity_provider, "weight": 1}],
                count=count,
                startedBy=started_by,
                clientToken=token,
                propagateTags="TASK_DEFINITION",
                enableECSManagedTags=True,
                networkConfiguration={
                    "awsvpcConfiguration": {
                        "subnets": list(cluster.subnets),
                        "securityGroups": list(cluster.security_groups),
                        "assignPublicIp": "DISABLED",
                    }
                },
                overrides={"containerOverrides": [{"name": workload.container, "environment": environment}]},
            )
        except ClientError as error:
            if throttled(str(error), _code(error)):
                raise Throttled(str(error)) from error
            if _code(error) == "InvalidParameterException" and "No Container Instances" in str(error):
                return []
            if _code(error) == "ConflictException":
                # This call was sent before, of another release with another task definition: what it has started is
                # listed, and the next call has another token.
                return []
            if _code(error) in _REFUSED:
                denied = denials.explained(str(error))
                reason = f"ECS refuses to start {workload.task_definition}: {denied or error}"
                raise Refused(reason, _GRANT if denied else advice(str(error)) or _LOOK) from error
            raise
        started = [task["taskArn"] for task in answer["tasks"]]
        reasons = [str(failure.get("reason") or failure.get("detail") or failure) for failure in answer["failures"]]
        broken = next((reason for reason in reasons if not no_room(reason)), "")
        if broken and not started:
            if throttled(broken):
                raise Throttled(broken)
            raise Refused(f"ECS cannot start {workload.task_definition}: {broken}", advice(broken))
        return started

    def stop(self, arn: str, reason: str) -> None:
        """Stop an ECS task; one that ECS has forgotten is left, and a call that came too soon is made again later."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        try:
            self._ecs.stop_task(cluster=self._cluster, task=arn, reason=reason)
        except ClientError as error:
            if _code(error) != "InvalidParameterException" and not throttled(str(error), _code(error)):
                raise
            log.info("%s: %s", arn, error)

    def instances(self) -> list[Instance]:
        """List the cluster's container instances whose agent is connected, with what is free on each."""
        paginator = self._ecs.get_paginator("list_container_instances")
        arns = [
            arn
            for status in ("ACTIVE", "DRAINING")
            for page in paginator.paginate(cluster=self._cluster, status=status)
            for arn in page["containerInstanceArns"]
        ]
        interfaces = {kind.type: kind.network_interfaces for kind in self._deployment.cluster.instance_types}
        return [
            _instance(item, interfaces)
            for batch in batched(arns, _DESCRIBE_INSTANCES)
            for item in self._ecs.describe_container_instances(cluster=self._cluster, containerInstances=list(batch))[
                "containerInstances"
            ]
            if item["agentConnected"]
        ]

    def drain(self, arns: Sequence[str]) -> None:
        """Let nothing more be placed on container instances."""
        for batch in batched(arns, _UPDATE_INSTANCES):
            self._ecs.update_container_instances_state(
                cluster=self._cluster, containerInstances=list(batch), status="DRAINING"
            )

    def terminate(self, ec2_id: str) -> bool:
        """Terminate an instance and lower the desired capacity by one; whether nothing is left to ask for."""
        return self._scaling.terminate(ec2_id)

    def group(self) -> Group:
        """Read the Auto Scaling group as it is now."""
        return self._scaling.group()

    def ask(self, instances: int) -> str:
        """Have the Auto Scaling group have so many instances. Returns what AWS refuses of that, in one line."""
        return self._scaling.ask(instances)

    def why_short(self, since: dt.datetime) -> str:
        """Read what Auto Scaling says of instances that it could not launch since then: one line, or empty."""
        return self._scaling.why_short(since)

    def live_task_arns(self, started_by: str | None = None) -> list[str]:
        """ECS tasks that are meant to run: a stage's, or all of the cluster's."""
        # `startedBy` must be the only filter (botocore, ListTasks); without another, those that are meant to run.
        whose = {"startedBy": started_by} if started_by else {}
        pages = self._ecs.get_paginator("list_tasks").paginate(cluster=self._cluster, **whose)
        return [arn for page in pages for arn in page["taskArns"]]

    def report(self, sample: Sample) -> None:
        """Tell CloudWatch, by its logs; what hinders that is logged and hinders nothing else."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        group = self._deployment.metrics_log_group
        if group is None:
            return
        where = {"logGroupName": group, "logStreamName": f"{sample.dag}/{sample.job}"}
        events = [metrics.event(sample, self._deployment.environment)]
        try:
            try:
                self._logs.put_log_events(**where, logEvents=events)
            except self._logs.exceptions.ResourceNotFoundException:
                with contextlib.suppress(self._logs.exceptions.ResourceAlreadyExistsException):
                    self._logs.create_log_stream(**where)
                self._logs.put_log_events(**where, logEvents=events)
        except (BotoCoreError, ClientError) as error:
            log.warning("CloudWatch does not get this minute's metrics of %s: %s", sample.job, error)

    @cached_property
    def _logs(self) -> Any:
        return self._client("logs")


def _connect(region: str) -> Callable[[str], Any]:
    import boto3  # noqa: PLC0415 - parsing a DAG must not pay for it
    from botocore.config import Config  # noqa: PLC0415

    session = boto3.Session(region_name=region)
    config = Config(retries={"mode": "adaptive", "total_max_attempts": 6}, max_pool_connections=AT_ONCE)
    # A tick does not wait for its metrics.
    metrics_config = Config(retries={"total_max_attempts": 2}, connect_timeout=2, read_timeout=5)
    return lambda service: session.client(service, config=metrics_config if service == "logs" else config)  # type: ignore[call-overload]


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _instance(item: dict[str, Any], interfaces: dict[str, int]) -> Instance:
    free = {resource["name"]: resource.get("integerValue", 0) for resource in item["remainingResources"]}
    attributes = {entry["name"]: entry.get("value", "") for entry in item.get("attributes", ())}
    kind = attributes.get("ecs.instance-type", "")
    tasks = item["runningTasksCount"] + item["pendingTasksCount"]
    return Instance(
        cpu=free["CPU"],
        memory=free["MEMORY"],
        # One interface is the host's own, and each ECS task in awsvpc mode has one.
        interfaces=interfaces.get(kind, min(interfaces.values())) - 1 - tasks,
        tasks=tasks,
        arn=item["containerInstanceArn"],
        ec2_id=item.get("ec2InstanceId", ""),
        draining=item["status"] == "DRAINING",
        windows=attributes.get("ecs.os-family", ""),
        type=kind,
    )

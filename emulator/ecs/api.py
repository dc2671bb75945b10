"""The ECS calls that moto does not answer as AWS does: ECS tasks and container instances.

Answers are written as JSON here: moto's serialiser walks the API's model for every field, and DescribeTasks answers for
a hundred.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.core.responses import ActionResult
from moto.ecs.exceptions import EcsClientException, InvalidParameterException
from moto.ecs.models import ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse

from emulator.ecs.backend import EcsBackend
from emulator.ecs.model import Json, Resources
from emulator.ecs.requests import RunRequest

_PAGE = 100
_MAX_DESCRIBED = 100
_MAX_UPDATED = 10
_TASK_FILTERS = ("family", "containerInstance", "serviceName", "launchType", "desiredStatus")


class EcsResponse(EC2ContainerServiceResponse):
    """moto's handlers under the emulator's own."""

    @property
    def _backend(self) -> EcsBackend:
        return ecs_backends[self.current_account][self.region]  # type: ignore[return-value]

    @property
    def _cluster(self) -> str:
        return str(self._get_param("cluster") or "default")

    def _answer(self, body: Json) -> TYPE_RESPONSE:
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(body)

    def run_task(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Answer RunTask: what has started or waits for a place, and why the rest has not."""
        tasks, failures = self._backend.run(RunRequest.of(self.params))
        return self._answer(
            {
                "tasks": [task.describe(tags=True) for task in tasks],
                "failures": [failure.describe() for failure in failures],
            }
        )

    def start_task(self) -> ActionResult:
        """Refuse StartTask.

        Raises:
            NotImplementedError: always; RunTask's placement chooses the instance
        """
        raise NotImplementedError("StartTask: choose the instance by RunTask's placement")

    def create_service(self) -> ActionResult:
        """Refuse CreateService.

        Raises:
            NotImplementedError: always; nothing keeps a service's ECS tasks running here
        """
        raise NotImplementedError(
            "CreateService: nothing keeps a service's ECS tasks running here; RunTask starts them"
        )

    def describe_tasks(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Answer DescribeTasks.

        Raises:
            InvalidParameterException: none is named, or more than 100 are
        """
        ids = self._get_param("tasks") or []
        if not 1 <= len(ids) <= _MAX_DESCRIBED:
            raise InvalidParameterException(
                "Tasks cannot be empty." if not ids else "Tasks can have at most 100 items."
            )
        tasks, failures = self._backend.find_tasks(self._cluster, ids)
        tags = "TAGS" in (self._get_param("include") or ())
        return self._answer(
            {
                "tasks": [task.describe(tags=tags) for task in tasks],
                "failures": [failure.describe() for failure in failures],
            }
        )

    def list_tasks(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Answer ListTasks, page by page.

        Raises:
            InvalidParameterException: `startedBy` stands beside another filter
        """
        others = {name for name in _TASK_FILTERS if self._get_param(name)}
        # What is said beside it without a meaning of its own, the default status, is taken.
        others -= {"desiredStatus"} if self._get_param("desiredStatus") == "RUNNING" else set()
        if self._get_param("startedBy") and others:
            raise InvalidParameterException("cannot specify startedBy with other arguments")
        tasks = self._backend.listed_tasks(
            self._cluster,
            family=self._get_param("family"),
            started_by=self._get_param("startedBy"),
            instance=self._get_param("containerInstance"),
            desired_status=self._get_param("desiredStatus") or "RUNNING",
        )
        return self._answer(self._page("taskArns", tasks, lambda task: task.sequence))

    def stop_task(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Answer StopTask, after which the containers have their time to end."""
        task = self._backend.stop(self._cluster, self._get_param("task"), self._get_param("reason"))
        return self._answer({"task": task.describe(tags=True)})

    def register_container_instance(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Answer RegisterContainerInstance with the resources that the agent says it has."""
        document = json.loads(self._get_param("instanceIdentityDocument"))
        resources = {item["name"]: item.get("integerValue", 0) for item in self._get_param("totalResources") or ()}
        kind = document.get("instanceType")
        instance = self._backend.register_instance(
            self._cluster,
            document["instanceId"],
            Resources(cpu=resources.get("CPU", 0), memory=resources.get("MEMORY", 0)),
            capacity_provider=None,
            attributes={item["name"]: item.get("value") for item in self._get_param("attributes") or ()}
            | ({"ecs.instance-type": kind} if kind else {}),
        )
        return self._answer({"containerInstance": instance.describe()})

    def deregister_container_instance(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Answer DeregisterContainerInstance.

        Raises:
            InvalidParameterException: there is no such container instance
        """
        found, _ = self._backend.find_instances(self._cluster, [self._get_param("containerInstance")])
        if not found:
            raise InvalidParameterException("The referenced container instance was not found.")
        self._backend.deregister_instance(found[0], force=bool(self._get_param("force")))
        return self._answer({"containerInstance": found[0].describe()})

    def list_container_instances(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Answer ListContainerInstances, page by page."""
        instances = self._backend.listed_instances(self._cluster, self._get_param("status"))
        order = {instance.arn: number for number, instance in enumerate(instances, 1)}
        return self._answer(self._page("containerInstanceArns", instances, lambda instance: order[instance.arn]))

    def describe_container_instances(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Answer DescribeContainerInstances.

        Raises:
            EcsClientException: none is named
            InvalidParameterException: more than 100 are named
        """
        ids = self._get_param("containerInstances") or []
        if not ids:
            raise EcsClientException("Container instances cannot be empty.")
        if len(ids) > _MAX_DESCRIBED:
            raise InvalidParameterException(f"Container instances can have at most {_MAX_DESCRIBED} items.")
        found, failures = self._backend.find_instances(self._cluster, ids)
        return self._answer(
            {
                "containerInstances": [instance.describe() for instance in found],
                "failures": [failure.describe() for failure in failures],
            }
        )

    def update_container_instances_state(self) -> TYPE_RESPONSE:  # type: ignore[override]
        """Answer UpdateContainerInstancesState.

        Raises:
            InvalidParameterException: the state is neither ACTIVE nor DRAINING, an instance is INACTIVE, or none or too
                many are named
        """
        status = str(self._get_param("status")).upper()
        if status not in {"ACTIVE", "DRAINING"}:
            raise InvalidParameterException("Container instance status should be one of [ACTIVE, DRAINING]")
        ids = self._get_param("containerInstances") or []
        if not 1 <= len(ids) <= _MAX_UPDATED:
            raise InvalidParameterException(f"Container instances must be between 1 and {_MAX_UPDATED} items.")
        found, failures = self._backend.find_instances(self._cluster, ids)
        for instance in found:
            if instance.status == "INACTIVE":
                raise InvalidParameterException("The container instance is INACTIVE.")
            self._backend.set_instance_state(instance, status)
        return self._answer(
            {
                "containerInstances": [instance.describe() for instance in found],
                "failures": [failure.describe() for failure in failures],
            }
        )

    def _page(self, name: str, items: Sequence[Any], sequence: Callable[[Any], int]) -> Json:
        """One page of ARNs; the token is the sequence number of its last, so items that go or come shift nothing."""
        size = self._get_int_param("maxResults") or _PAGE
        if not 1 <= size <= _PAGE:
            raise InvalidParameterException(f"maxResults should be between 1 and {_PAGE}")
        token = self._get_param("nextToken") or "0"
        if not token.isdigit():
            raise InvalidParameterException("Invalid token")
        rest = [item for item in items if sequence(item) > int(token)]
        page: Json = {name: [item.arn for item in rest[:size]]}
        if len(rest) > size:
            page["nextToken"] = str(sequence(rest[size - 1]))
        return page

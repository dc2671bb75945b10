"""A region's clusters and task definitions: moto's, with what AWS answers and refuses otherwise."""

from __future__ import annotations

from typing import Any

from moto.ecs.exceptions import ECSException
from moto.ecs.models import Cluster, EC2ContainerServiceBackend, TaskDefinition

from emulator.ecs.definitions import check_registration
from emulator.ecs.model import ContainerInstance, EcsTask
from emulator.patching import OwnUrls


class ClusterBackend(OwnUrls, EC2ContainerServiceBackend):
    """Everything here runs under the control lock.

    Attributes:
        ecs_tasks: by id, oldest first.
        instances: container instances by id, INACTIVE ones among them.
    """

    moto_service = "ecs"

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.ecs_tasks: dict[str, EcsTask] = {}
        self.instances: dict[str, ContainerInstance] = {}

    def registered(self) -> list[ContainerInstance]:
        """The container instances that are in a cluster."""
        return [instance for instance in self.instances.values() if instance.status != "INACTIVE"]

    def create_cluster(self, cluster_name: str, *args: Any, **kwargs: Any) -> Cluster:
        """Answer with the cluster that is there, where moto replaces it."""
        existing = self.clusters.get(cluster_name)
        if existing is not None and existing.status == "ACTIVE":
            return existing
        return super().create_cluster(cluster_name, *args, **kwargs)

    def _get_cluster(self, name: str) -> Cluster:
        cluster = super()._get_cluster(name)
        # AWS finds deleted clusters in DescribeClusters only.
        if cluster.status == "INACTIVE":
            raise ECSException("ClusterNotFoundException", "Cluster not found.")
        return cluster

    def list_clusters(self) -> list[str]:
        """Give the ARNs of the ACTIVE clusters; moto lists the deleted ones, too."""
        return [cluster.arn for cluster in self.clusters.values() if cluster.status == "ACTIVE"]

    def delete_cluster(self, cluster_str: str) -> Cluster:
        """Delete an empty cluster.

        Raises:
            ECSException: container instances or ECS tasks are in it; moto does not look
        """
        cluster = self._get_cluster(cluster_str)
        if any(instance.cluster == cluster.name for instance in self.registered()):
            raise ECSException(
                "ClusterContainsContainerInstancesException",
                "The Cluster cannot be deleted while Container Instances are active or draining.",
            )
        if any(task.cluster == cluster.name and task.last_status != "STOPPED" for task in self.ecs_tasks.values()):
            raise ECSException("ClusterContainsTasksException", "The Cluster cannot be deleted while Tasks are active.")
        return super().delete_cluster(cluster_str)

    def describe_clusters(self, cluster_names: list[str]) -> Any:
        """Give clusters and failures, with counts of what is really in each cluster."""
        found, failures = super().describe_clusters(cluster_names)
        for cluster in found:
            tasks = [task for task in self.ecs_tasks.values() if task.cluster == cluster.name]
            cluster.running_tasks_count = sum(task.last_status == "RUNNING" for task in tasks)
            cluster.pending_tasks_count = sum(task.last_status in {"PROVISIONING", "PENDING"} for task in tasks)
            cluster.registered_container_instances_count = sum(
                instance.cluster == cluster.name for instance in self.registered()
            )
        return found, failures

    def describe_task_definition(self, task_definition_str: str) -> TaskDefinition:
        """Find a task definition; a family alone means its latest ACTIVE revision.

        moto takes the latest of all.
        """
        name = task_definition_str.rpartition("/")[2]
        if ":" not in name:
            active = [
                revision
                for revision, definition in self.task_definitions.get(name, {}).items()
                if definition.status == "ACTIVE"
            ]
            name = f"{name}:{max(active, default=0)}"
        return super().describe_task_definition(name)

    def register_task_definition(
        self, family: str, container_definitions: list[dict[str, Any]], *args: Any, **given: Any
    ) -> TaskDefinition:
        """Keep a new revision of a family.

        Raises:
            EcsClientException: it breaks a rule of ECS's that moto does not know
        """
        check_registration(container_definitions, given.get("execution_role_arn"), given.get("volumes") or ())
        return super().register_task_definition(family, container_definitions, *args, **given)

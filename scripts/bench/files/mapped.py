"""What `make bench` compares with: a mapped `EcsRunTaskOperator`, an ECS task a shard, synchronous and deferrable.

Both are given the best that the operator allows: a capacity provider strategy in place of the launch type that it would
send, an Airflow slot for each ECS task that the cluster has room for, and a pool that counts deferred Airflow tasks too
(no other limit does; without one, all would start at once and most would find no room). `mapped.json` holds the
numbers.
"""

import datetime as dt
import json
from pathlib import Path

from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.sdk import DAG

from winbatch import deployment

numbers = json.loads(Path(__file__).with_suffix(".json").read_text())
target = deployment.load()
workload = target.workload("sleep")
cluster = target.cluster


def mapped(dag_id: str, *, deferrable: bool) -> DAG:
    """The DAG of one variant."""
    with DAG(
        dag_id=dag_id,
        schedule=None,
        catchup=False,
        max_active_tasks=numbers["shards"],
        is_paused_upon_creation=False,
        # An Airflow task whose trigger fires early may be taken for lost (apache/airflow#66374): it may try again.
        default_args={"retries": 3, "retry_delay": dt.timedelta(seconds=5)},
    ) as dag:
        EcsRunTaskOperator.partial(
            task_id="shard",
            pool=numbers["pool"],
            cluster=cluster.name,
            task_definition=workload.task_definition,
            capacity_provider_strategy=[{"capacityProvider": cluster.capacity_provider, "weight": 1}],
            network_configuration={
                "awsvpcConfiguration": {
                    "subnets": list(cluster.subnets),
                    "securityGroups": list(cluster.security_groups),
                    "assignPublicIp": "DISABLED",
                }
            },
            waiter_delay=numbers["poll_seconds"],
            deferrable=deferrable,
        ).expand(
            overrides=[{"containerOverrides": [{"name": workload.container, "command": [str(numbers["seconds"])]}]}]
            * numbers["shards"]
        )
    return dag


synchronous = mapped("synchronous", deferrable=False)
deferrable = mapped("deferrable", deferrable=True)

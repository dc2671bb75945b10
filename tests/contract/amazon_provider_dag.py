"""A DAG of the amazon provider's own operators, run once in this process; Airflow's interpreter runs this file.

Argument: a JSON object with the keyword arguments of `flow`. Ends its output with a JSON object: `tasks` has each
Airflow task's `state`, its XComs and, when it failed, its `error`; `events` are those of a trigger that ran to its end.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta

import boto3
from airflow.listeners import hookimpl
from airflow.listeners.listener import get_listener_manager
from airflow.models.xcom import XComModel
from airflow.providers.amazon.aws.hooks.ecs import EcsTaskStates
from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator
from airflow.providers.amazon.aws.operators.s3 import S3CreateObjectOperator
from airflow.providers.amazon.aws.sensors.ecs import EcsTaskStateSensor
from airflow.providers.amazon.aws.sensors.s3 import S3KeySensor
from airflow.providers.amazon.aws.triggers.ecs import TaskDoneTrigger
from airflow.providers.amazon.aws.utils.identifiers import generate_uuid
from airflow.sdk import DAG, task
from airflow.utils.db import initdb

MOMENT = datetime(2026, 11, 22, tzinfo=UTC)


class Errors:
    """Airflow tells a listener why an Airflow task failed; `dag.test()` tells the callbacks nothing."""

    def __init__(self):
        self.texts = {}

    @hookimpl
    def on_task_instance_failed(self, task_instance, error):
        self.texts[task_instance.task_id] = str(error)


def flow(cluster, definitions, bucket):
    """The DAG.

    Args:
        cluster: its name, which is that of its capacity provider and of its log group too
        definitions: the task definitions of a program that `succeeds`, one that `fails`, one that `lasts` and one
            whose image `lacks`
        bucket: of the object that one Airflow task writes and another waits for
    """

    def run(name, definition, **more):
        return EcsRunTaskOperator(
            task_id=name,
            cluster=cluster,
            task_definition=definitions[definition],
            capacity_provider_strategy=[{"capacityProvider": cluster, "weight": 1}],
            overrides={"containerOverrides": [{"name": "main", "environment": [{"name": "BY", "value": name}]}]},
            waiter_delay=1,
            do_xcom_push=True,
            **more,
        )

    logs = {
        # Otherwise the operator takes it from RunTask's answer, and lacks it when it reattaches or comes back from its
        # trigger.
        "container_name": "main",
        "awslogs_group": cluster,
        "awslogs_stream_prefix": "p",
        "awslogs_fetch_interval": timedelta(seconds=0.2),
    }
    with DAG("amazon", schedule=None, start_date=MOMENT) as dag:
        write = S3CreateObjectOperator(task_id="write", s3_bucket=bucket, s3_key="in/a.txt", data="from Airflow")
        seen = S3KeySensor(
            task_id="seen", bucket_name=bucket, bucket_key="in/*.txt", wildcard_match=True, poke_interval=1, timeout=20
        )
        succeeds = run("succeeds", "succeeds", **logs)
        stopped = EcsTaskStateSensor(
            task_id="stopped",
            cluster=cluster,
            task="{{ ti.xcom_pull('succeeds', key='ecs_task_arn') }}",
            target_state=EcsTaskStates.STOPPED,
            poke_interval=1,
            timeout=20,
        )
        write >> seen >> succeeds >> stopped

        run("fails", "fails", **logs)
        run("lacks", "lacks")
        run("deferred", "succeeds", deferrable=True, **logs)
        run("deferred_fails", "fails", deferrable=True)

        @task
        def left_running(run_id=None):
            """What a worker that died would leave behind: an ECS task that carries the Airflow task's mark."""
            answer = boto3.client("ecs").run_task(
                cluster=cluster,
                taskDefinition=definitions["lasts"],
                startedBy=generate_uuid("amazon", "reattached", run_id, "-1"),
            )
            return answer["tasks"][0]["taskArn"]

        left_running() >> run("reattached", "succeeds", reattach=True, **logs)
    return dag


async def watch(cluster, arn):
    """The events of the trigger of the deferred operators, all of them, as the triggerer takes them.

    `dag.test()` drops a trigger after its first event, before it has copied the last log lines.
    """
    trigger = TaskDoneTrigger(
        cluster=cluster,
        task_arn=arn,
        waiter_delay=1,
        waiter_max_attempts=20,
        aws_conn_id="aws_default",
        region=None,
        log_group=cluster,
        log_stream=f"p/main/{arn.rpartition('/')[2]}",
    )
    return [event.payload async for event in trigger.run()]


def main():
    arguments = json.loads(sys.argv[1])
    errors = Errors()
    get_listener_manager().add_listener(errors)
    initdb()
    ended = flow(**arguments).test(logical_date=MOMENT)
    tasks = {
        instance.task_id: {"state": instance.state, "error": errors.texts.get(instance.task_id, ""), "xcoms": {}}
        for instance in ended.get_task_instances()
    }
    for entry in XComModel.get_many(run_id=ended.run_id):
        tasks[entry.task_id]["xcoms"][entry.key] = XComModel.deserialize_value(entry)
    events = asyncio.run(watch(arguments["cluster"], tasks["deferred"]["xcoms"]["ecs_task_arn"]))
    sys.stdout.write(f"\n{json.dumps({'tasks': tasks, 'events': events})}\n")


if __name__ == "__main__":
    main()

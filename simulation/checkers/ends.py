"""All ends, and nothing is left then."""

from collections.abc import Iterable, Sequence

from simulation.airflow import DagRun
from simulation.cloud import Cloud
from simulation.s3 import Bucket
from winbatch import shares


def ended(runs: Iterable[DagRun]) -> list[str]:
    """Everything ends."""
    return [f"{run.name} is {run.state} and does not end" for run in runs if not run.ended]


def nothing_is_left(cloud: Cloud, bucket: Bucket, runs: Sequence[DagRun]) -> list[str]:
    """No ECS task lives, no instance is asked for, nobody keeps a place."""
    left = [f"ECS task {task.arn} was left running" for task in cloud.live_tasks]
    if cloud.goal and not any(run.never_set_up for run in runs):
        left.append(f"{cloud.goal} instances were left")
    found = bucket.get(shares.KEY)
    if found is not None:
        board = shares.Board.from_json(found.body, where=shares.KEY)
        left += [f"{name} is left on the board" for name, demand in board.demands.items() if demand.instances > 0]
    return left

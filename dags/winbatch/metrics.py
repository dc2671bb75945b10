"""What CloudWatch is told of a stage: numbers from its ledger, as events in the embedded metric format.

Pure; `winbatch.aws` sends the events (decision 0160 says where to and why). CloudWatch charges for each metric and
each combination of dimensions, so there are two: the environment, and for a few metrics the environment with the DAG.
Job and stage are properties of the event, for CloudWatch Logs Insights.
"""

import dataclasses
import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from winbatch.attempts import POLICY
from winbatch.ledger import Ledger, Measured

NAMESPACE = "winbatch"

# Units of CloudWatch's own list. Counters are what came since the last event, so that their sum over a time is right
# for any number of jobs; the others are as of now.
UNITS: Mapping[str, str] = {
    "ItemsDone": "Count",
    "ItemsFailed": "Count",
    "CostUSD": "None",
    "TeardownFailures": "Count",
    "ItemsOpen": "Count",
    "ShardsInFlight": "Count",
    "TasksRunning": "Count",
    "TasksPending": "Count",
    "InstancesRegistered": "Count",
    # Since a shard was last done, or since the stage asked for its first instance; 0 when it need not wait.
    "StallSeconds": "Seconds",
    "CapacityWaitSeconds": "Seconds",
    # From the tick before to this one. That there is one at all says that an engine is alive.
    "LedgerAgeSeconds": "Seconds",
    **{f"Failed{kind.title()}": "Count" for kind in POLICY},
}
BY_DAG = ("ItemsDone", "ItemsFailed", "CostUSD")


@dataclasses.dataclass(frozen=True)
class Sample:
    """What is said at one time of a job.

    Attributes:
        at: when.
        dag: its DAG.
        job: its id.
        values: by metric, in its unit.
        properties: what else the event says.
    """

    at: dt.datetime
    dag: str
    job: str
    values: Mapping[str, float]
    properties: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def measure(before: Ledger, ledger: Ledger) -> tuple[Ledger, Sample | None]:
    """Look at a stage after a tick: once in each minute, and at its end.

    Args:
        before: the ledger as the tick found it.
        ledger: as the tick leaves it.

    Returns:
        The ledger, which remembers what was said, and what to say.
    """
    now, last = ledger.updated_at, ledger.measured
    if last is not None and not ledger.finished and _minute(last.at) == _minute(now):
        return ledger, None
    last = last or Measured(ledger.started_at)
    failed: Counter[str] = Counter(failure.kind for failure in ledger.failures)
    said = Measured(now, ledger.items_done, ledger.cost or 0.0, dict(failed))
    new: Counter[str] = Counter({kind: count - last.failed.get(kind, 0) for kind, count in failed.items()})
    counters: dict[str, float] = {
        "ItemsDone": max(0, said.items_done - last.items_done),
        "ItemsFailed": (+new).total(),
    }
    if ledger.cost is not None:
        counters["CostUSD"] = max(0.0, said.cost - last.cost)
    # ECS tasks that came to nothing are forgotten at the next progress: their time tells which are new.
    new.update(fault.kind for fault in ledger.faults if fault.at > last.at)
    counters |= {f"Failed{kind.title()}": count for kind, count in (+new).items()}
    waits = {
        "StallSeconds": ledger.progress_at if not ledger.finished else None,
        "CapacityWaitSeconds": ledger.asked_at if not ledger.finished else None,
        "LedgerAgeSeconds": before.updated_at,
    }
    gauges: dict[str, float] = {
        "ItemsOpen": ledger.items - ledger.items_done - ledger.items_failed,
        "ShardsInFlight": ledger.shards_claimed,
        "TasksRunning": ledger.tasks_running,
        "TasksPending": ledger.tasks_pending,
        "InstancesRegistered": ledger.instances_registered,
        **{name: max(0.0, (now - since).total_seconds()) if since else 0.0 for name, since in waits.items()},
    }
    properties = {
        "stage": ledger.stage,
        "state": ledger.state,
        "items": ledger.items,
        "items_per_second": ledger.rate,
        "remaining_seconds": ledger.remaining_seconds,
        "job_cost_usd": ledger.cost,
        "instances_desired": ledger.instances_desired,
    }
    sample = Sample(now, ledger.dag, ledger.job, counters | gauges, properties)
    return dataclasses.replace(ledger, measured=said), sample


def teardown_failed(dag: str, job: str, now: dt.datetime) -> Sample:
    """A try of a job's teardown came to nothing: its instances may still be there."""
    return Sample(now, dag, job, {"TeardownFailures": 1})


def event(sample: Sample, environment: str) -> dict[str, Any]:
    """A sample as a log event for PutLogEvents: its message is one object in the embedded metric format."""
    timestamp = int(sample.at.timestamp() * 1000)
    directives = [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [dimensions],
            "Metrics": [{"Name": name, "Unit": UNITS[name]} for name in sample.values if name in names],
        }
        for dimensions, names in ((["environment"], tuple(UNITS)), (["environment", "dag"], BY_DAG))
    ]
    message = {
        "_aws": {"Timestamp": timestamp, "CloudWatchMetrics": [entry for entry in directives if entry["Metrics"]]},
        "environment": environment,
        "dag": sample.dag,
        "job": sample.job,
        **sample.properties,
        **sample.values,
    }
    return {"timestamp": timestamp, "message": json.dumps(message)}


def _minute(moment: dt.datetime) -> int:
    return int(moment.timestamp() // 60)

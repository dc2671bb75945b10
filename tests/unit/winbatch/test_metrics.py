"""What CloudWatch is told: the format that it extracts metrics from, and numbers that add up."""

import datetime as dt
import json
import re
from collections import Counter
from pathlib import Path

import jsonschema

from winbatch import metrics
from winbatch.ledger import Fault, Ledger, Measured
from winbatch.results import ItemFailure

START = dt.datetime(2026, 11, 24, 12, 0, 5, tzinfo=dt.UTC)
OBSERVABILITY = Path(__file__).parents[3] / "terraform/modules/observability"

# The specification's own limits: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/
# CloudWatch_Embedded_Metric_Format_Specification.html
NAME = {"type": "string", "minLength": 1, "maxLength": 1024}
SPECIFICATION = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer"},
                "CloudWatchMetrics": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["Namespace", "Dimensions", "Metrics"],
                        "additionalProperties": False,
                        "properties": {
                            "Namespace": NAME,
                            "Dimensions": {
                                "type": "array",
                                "minItems": 1,
                                "items": {"type": "array", "maxItems": 30, "items": NAME},
                            },
                            "Metrics": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 100,
                                "items": {
                                    "type": "object",
                                    "required": ["Name"],
                                    "additionalProperties": False,
                                    "properties": {
                                        "Name": NAME,
                                        "Unit": {"enum": ["Seconds", "Count", "None"]},
                                    },
                                },
                            },
                        },
                    },
                },
            },
        }
    },
}


def make_ledger(**changes):
    values = {
        "dag": "ber",
        "job": "ber-1",
        "stage": "simulate",
        "items": 100,
        "shards": 50,
        "shard_items": 2,
        "started_at": START,
        "updated_at": START,
        "due_at": START,
        "progress_at": START,
        "samples": ((START, 0),),
    }
    return Ledger(**values | changes)


def later(seconds, **changes):
    return {"updated_at": START + dt.timedelta(seconds=seconds), **changes}


def check(event):
    """Whether CloudWatch would take it: the schema, and that all that is named is there with the right type."""
    document = json.loads(event["message"])
    jsonschema.validate(document, SPECIFICATION)
    assert event["timestamp"] == document["_aws"]["Timestamp"]
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for name in [name for names in directive["Dimensions"] for name in names]:
            assert isinstance(document[name], str)
        for metric in directive["Metrics"]:
            assert isinstance(document[metric["Name"]], int | float)
    return document


def told(document):
    """Metrics by the dimensions that they have."""
    return {
        ",".join(names): {metric["Name"]: document[metric["Name"]] for metric in directive["Metrics"]}
        for directive in document["_aws"]["CloudWatchMetrics"]
        for names in directive["Dimensions"]
    }


def test_a_tick_is_told_in_the_embedded_metric_format():
    before = make_ledger()
    ledger = make_ledger(
        **later(
            20,
            items_done=10,
            items_failed=2,
            cost=0.25,
            tasks_running=6,
            tasks_pending=1,
            instances_registered=3,
            shards_claimed=12,
            progress_at=START + dt.timedelta(seconds=8),
            failures=(ItemFailure(3, 1, "program", "boom"), ItemFailure(5, 2, "memory", "too much")),
            faults=(Fault("image", "no image", START + dt.timedelta(seconds=15)),),
        )
    )
    ledger, sample = metrics.measure(before, ledger)
    document = check(metrics.event(sample, "prod"))
    values = told(document)
    assert values["environment,dag"] == {"ItemsDone": 10, "ItemsFailed": 2, "CostUSD": 0.25}
    assert values["environment"] == {
        "ItemsDone": 10,
        "ItemsFailed": 2,
        "CostUSD": 0.25,
        "ItemsOpen": 88,
        "ShardsInFlight": 12,
        "TasksRunning": 6,
        "TasksPending": 1,
        "InstancesRegistered": 3,
        "StallSeconds": 12.0,
        "CapacityWaitSeconds": 0.0,
        "LedgerAgeSeconds": 20.0,
        "FailedProgram": 1,
        "FailedMemory": 1,
        "FailedImage": 1,
    }
    assert (document["environment"], document["job"], document["stage"]) == ("prod", "ber-1", "simulate")


def test_it_is_told_once_a_minute_and_at_the_end_and_adds_up():
    ledger, total = make_ledger(), Counter()
    minutes = []
    for second in range(0, 200, 5):
        state = "succeeded" if second == 195 else "running"
        after = make_ledger(**later(second, items_done=second // 2, cost=second / 100, state=state))
        before, (ledger, sample) = (
            ledger,
            metrics.measure(ledger, Ledger(**vars(after) | {"measured": ledger.measured})),
        )
        assert ledger.measured
        if sample:
            assert sample.values["LedgerAgeSeconds"] == (5 if second else 0)
            assert before.updated_at <= sample.at
            minutes.append(sample.at.strftime("%H:%M:%S"))
            total.update({name: sample.values[name] for name in ("ItemsDone", "CostUSD")})
    assert minutes == ["12:00:05", "12:01:00", "12:02:00", "12:03:00", "12:03:20"]
    assert total["ItemsDone"] == 97
    assert round(total["CostUSD"], 6) == 1.95


def test_failures_count_once_and_anew_when_a_stage_is_started_again():
    failure = ItemFailure(3, 1, "program", "boom")
    first, sample = metrics.measure(make_ledger(), make_ledger(items_failed=1, failures=(failure,), state="failed"))
    assert sample.values["FailedProgram"] == 1
    same, sample = metrics.measure(first, Ledger(**vars(first) | later(60)))
    assert "FailedProgram" not in sample.values
    assert sample.values["ItemsFailed"] == 0
    again = same.again(START + dt.timedelta(seconds=90))
    _, sample = metrics.measure(again, Ledger(**vars(again) | later(120, items_failed=1, failures=(failure,))))
    assert sample.values["FailedProgram"] == 1


def test_an_ended_stage_does_not_wait():
    done = make_ledger(**later(600, state="cancelled", asked_at=START))
    _, sample = metrics.measure(make_ledger(), done)
    assert (sample.values["StallSeconds"], sample.values["CapacityWaitSeconds"]) == (0, 0)
    waiting = make_ledger(**later(600, asked_at=START))
    _, sample = metrics.measure(make_ledger(), waiting)
    assert (sample.values["StallSeconds"], sample.values["CapacityWaitSeconds"]) == (600, 600)


def test_without_prices_no_cost_is_told():
    _, sample = metrics.measure(make_ledger(), make_ledger())
    assert "CostUSD" not in sample.values
    check(metrics.event(sample, "prod"))


def test_a_failed_teardown_is_one_metric():
    document = check(metrics.event(metrics.teardown_failed("ber", "ber-1", START), "prod"))
    assert told(document) == {"environment": {"TeardownFailures": 1}}


def test_the_ledger_remembers_what_was_told():
    ledger, _ = metrics.measure(make_ledger(), make_ledger(**later(20, items_done=10, cost=0.5)))
    read = Ledger.from_json(ledger.to_json(), where="ledger.json")
    assert read.measured == Measured(START + dt.timedelta(seconds=20), 10, 0.5, {})
    # One of a release before there were metrics.
    old = json.loads(make_ledger().to_json())
    del old["engine"]["measured"]
    assert Ledger.from_json(json.dumps(old), where="ledger.json").measured is None


def test_alarms_and_dashboard_name_metrics_that_there_are():
    alarms = (OBSERVABILITY / "alarms.tf").read_text()
    named = set(re.findall(r'source = "engine", metric = "(\w+)"', alarms))
    dashboard = (OBSERVABILITY / "dashboard.tf").read_text()
    named |= set(re.findall(r'MetricName=\\"(\w+)\\"', dashboard)) | set(
        re.findall(r'\["winbatch", "(\w+)"\]', dashboard)
    )
    for block in re.findall(r'for \w+ in (\[[^\]]*\]) ?:\s*concat\(\["winbatch", (metric|"Failed)', dashboard):
        prefix = "" if block[1] == "metric" else "Failed"
        named |= {prefix + name for name in json.loads(block[0])}
    assert {"ItemsDone", "FailedProgram", "StallSeconds", "TasksRunning", "ItemsOpen"} <= named
    assert named <= set(metrics.UNITS), named - set(metrics.UNITS)
    assert {f"Failed{kind}" for kind in re.findall(r'"(\w+)"', dashboard) if f"Failed{kind}" in metrics.UNITS} == {
        name for name in metrics.UNITS if name.startswith("Failed")
    }

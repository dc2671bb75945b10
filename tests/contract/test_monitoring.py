"""CloudWatch: metrics in log events, alarms that act, and the engine's reports."""

from __future__ import annotations

import datetime as dt
import json
import logging

import pytest
from botocore.exceptions import ClientError

from tests.waiting import wait_for
from winbatch import metrics
from winbatch.aws import AwsPorts
from winbatch.deployment import Cluster, Deployment

from .world import REGION


def statistic(cloudwatch, name, **dimensions):
    now = dt.datetime.now(dt.UTC)
    found = cloudwatch.get_metric_statistics(
        Namespace="winbatch",
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - dt.timedelta(hours=1),
        EndTime=now + dt.timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return sum(point["Sum"] for point in found["Datapoints"])


def deployment(environment, group):
    cluster = Cluster(
        name="c",
        capacity_provider="c",
        auto_scaling_group="c",
        max_instances=1,
        subnets=(),
        security_groups=(),
        instance_types=(),
    )
    return Deployment(
        environment=environment,
        region=REGION,
        account_id="123456789012",
        data_bucket="b",
        data_prefixes=("jobs",),
        cluster=cluster,
        workloads={},
        metrics_log_group=group,
    )


@pytest.fixture
def ports(endpoint, unique, monkeypatch):
    """The engine's ports on an environment of the test's own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    return lambda group: AwsPorts(deployment(unique, group))


def sample(at=None, **values):
    return metrics.Sample(at or dt.datetime.now(dt.UTC), "ber", "ber-1", values, {"stage": "simulate"})


@pytest.mark.aws(
    does="A log event in the embedded metric format becomes metrics of its dimension sets.",
    source="https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html",
    sure="documented",
)
def test_what_the_engine_reports_becomes_metrics(client, ports, unique):
    client("logs").create_log_group(logGroupName=unique)
    for items in (3, 4):
        ports(unique).report(sample(ItemsDone=items, TasksRunning=2, CostUSD=0.5))
    cloudwatch = client("cloudwatch")
    assert statistic(cloudwatch, "ItemsDone", environment=unique, dag="ber") == 7
    assert statistic(cloudwatch, "CostUSD", environment=unique, dag="ber") == 1
    dimensions = {
        tuple(sorted(dimension["Name"] for dimension in metric["Dimensions"]))
        for metric in cloudwatch.list_metrics(Namespace="winbatch", MetricName="TasksRunning")["Metrics"]
    }
    assert dimensions == {("environment",)}
    events = client("logs").get_log_events(logGroupName=unique, logStreamName="ber/ber-1")["events"]
    assert [json.loads(event["message"])["ItemsDone"] for event in events] == [3, 4]


def test_metrics_that_cannot_be_told_are_a_warning_and_no_more(ports, unique, caplog):
    with caplog.at_level(logging.WARNING):
        ports(unique).report(sample(ItemsDone=1))
    assert "CloudWatch does not get this minute's metrics of ber-1" in caplog.text
    assert "ResourceNotFoundException" in caplog.text


def test_an_environment_without_a_log_group_tells_nothing(ports, caplog):
    ports(None).report(sample(ItemsDone=1))
    assert not caplog.records


@pytest.mark.aws(
    does="Only a log event that is one JSON object, nothing before or after it, is read for metrics.",
    source="https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html",
    sure="documented",
)
def test_a_line_with_something_before_the_object_is_no_metric(client, unique):
    logs = client("logs")
    logs.create_log_group(logGroupName=unique)
    logs.create_log_stream(logGroupName=unique, logStreamName="task")
    event = metrics.event(sample(ItemsDone=1), unique)
    prefixed = event | {"message": "[2026-11-24, 12:00:00 UTC] {driver.py:1} INFO - " + event["message"]}
    # As Airflow's task log on MWAA has it: the line is a string in an object of its own.
    wrapped = event | {"message": json.dumps({"event": event["message"], "level": "info"})}
    logs.put_log_events(logGroupName=unique, logStreamName="task", logEvents=[prefixed, wrapped])
    assert statistic(client("cloudwatch"), "ItemsDone", environment=unique) == 0


def set_state(cloudwatch, name, state):
    cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test says so")


@pytest.mark.aws(
    does=(
        "An alarm that changes to ALARM executes its scaling policy and publishes to its topic; one that "
        "stays so does not."
    ),
    source="https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html",
    sure="documented",
)
@pytest.mark.aws(
    does="A simple scaling policy with ExactCapacity sets the group's size to that number.",
    source="https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-scaling-simple-step.html",
    sure="documented",
)
def test_an_alarm_scales_to_zero_and_tells(client, cluster):
    cloudwatch, sns, sqs = client("cloudwatch"), client("sns"), client("sqs")
    topic = sns.create_topic(Name=cluster.name)["TopicArn"]
    queue = sqs.create_queue(QueueName=cluster.name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    policy = cluster.asg.put_scaling_policy(
        AutoScalingGroupName=cluster.name,
        PolicyName=f"{cluster.name}-zero",
        PolicyType="SimpleScaling",
        AdjustmentType="ExactCapacity",
        ScalingAdjustment=0,
    )["PolicyARN"]
    (described,) = cluster.asg.describe_policies(PolicyNames=[f"{cluster.name}-zero"])["ScalingPolicies"]
    assert (described["PolicyARN"], described["Enabled"]) == (policy, True)
    assert "PredictiveScalingConfiguration" not in described
    cloudwatch.put_metric_alarm(
        AlarmName=cluster.name,
        AlarmDescription="idle",
        MetricName="Idle",
        Namespace="winbatch",
        Period=60,
        Statistic="Maximum",
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[policy, topic],
        OKActions=[topic],
    )
    cluster.scale(2)

    set_state(cloudwatch, cluster.name, "ALARM")
    assert cluster.group()["DesiredCapacity"] == 0
    wait_for(lambda: not cluster.group()["Instances"])
    set_state(cloudwatch, cluster.name, "ALARM")
    set_state(cloudwatch, cluster.name, "OK")

    told = [
        json.loads(message["Body"])
        for message in sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    ]
    assert [(item["AlarmName"], item["NewStateValue"], item["OldStateValue"]) for item in told] == [
        (cluster.name, "ALARM", "OK"),
        (cluster.name, "OK", "ALARM"),
    ]


@pytest.mark.aws(
    does="A budget's notification has the subscribers that it was made with, and another one is not found.",
    source="https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_CreateNotification.html",
    sure="documented",
)
def test_a_budget_keeps_whom_it_tells(client, unique):
    budgets = client("budgets")
    notification = {
        "NotificationType": "ACTUAL",
        "ComparisonOperator": "GREATER_THAN",
        "Threshold": 80.0,
        "ThresholdType": "PERCENTAGE",
    }
    topic = {"SubscriptionType": "SNS", "Address": "arn:aws:sns:eu-central-1:123456789012:t"}
    budget = {"AccountId": "123456789012", "BudgetName": unique}
    limit = {"Amount": "100", "Unit": "USD"}
    budgets.create_budget(
        AccountId="123456789012",
        Budget={"BudgetName": unique, "BudgetLimit": limit, "TimeUnit": "MONTHLY", "BudgetType": "COST"},
        ResourceTags=[{"Key": "root", "Value": "winbatch"}],
    )
    budgets.create_notification(**budget, Notification=notification, Subscribers=[topic])

    answer = budgets.describe_subscribers_for_notification(**budget, Notification=notification)
    assert answer["Subscribers"] == [topic]
    tags = budgets.list_tags_for_resource(ResourceARN=f"arn:aws:budgets::123456789012:budget/{unique}")
    assert tags["ResourceTags"] == [{"Key": "root", "Value": "winbatch"}]
    with pytest.raises(ClientError, match="does not exist"):
        budgets.describe_subscribers_for_notification(**budget, Notification={**notification, "Threshold": 90.0})


def test_metric_math_is_refused_by_name(client, unique):
    cloudwatch, now = client("cloudwatch"), dt.datetime.now(dt.UTC)
    cloudwatch.put_metric_data(Namespace=unique, MetricData=[{"MetricName": "m", "Value": 2.0}])
    metric = {"Metric": {"Namespace": unique, "MetricName": "m"}, "Period": 60, "Stat": "Sum"}
    asked = {"StartTime": now - dt.timedelta(minutes=5), "EndTime": now + dt.timedelta(minutes=5)}
    for expression, status in (("m", 200), ("m * 2", 501), ("SELECT SUM(m) FROM x", 501)):
        queries = [{"Id": "m", "MetricStat": metric}, {"Id": "e", "Expression": expression}]
        try:
            answer = cloudwatch.get_metric_data(**asked, MetricDataQueries=queries)
        except ClientError as error:
            answer = error.response
            assert expression in answer["Error"]["Message"]
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == status


def test_a_query_is_answered_whole_or_not_at_all(client, unique):
    logs = client("logs")
    logs.create_log_group(logGroupName=unique)
    asked = {"logGroupName": unique, "startTime": 0, "endTime": 1}
    query = logs.start_query(**asked, queryString="fields @timestamp, @message | sort @timestamp desc | limit 5")
    assert logs.get_query_results(queryId=query["queryId"])["status"] == "Complete"
    with pytest.raises(ClientError) as raised:
        logs.start_query(**asked, queryString="filter @message like /a/ | stats count(*) by bin(5m)")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "`filter`" in raised.value.response["Error"]["Message"]

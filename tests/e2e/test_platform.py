"""What one apply has made, as AWS's own calls show it: the local environment's, while it has not run a job."""

import json
import re
from urllib.parse import unquote

import pytest

from .world import NAME

pytestmark = pytest.mark.slow

ACCOUNT = "123456789012"
REGION = "eu-central-1"


@pytest.fixture(scope="module")
def outputs(client):
    """Terraform's outputs, from its state."""
    (entry,) = client("s3").list_objects_v2(Bucket=f"{NAME}-tfstate", Prefix="winbatch.tfstate")["Contents"]
    state = json.loads(client("s3").get_object(Bucket=f"{NAME}-tfstate", Key=entry["Key"])["Body"].read())
    return {name: output["value"] for name, output in state["outputs"].items()}


@pytest.fixture(scope="module")
def deployment(outputs):
    return outputs["deployment"]


def test_the_dags_are_told_all_they_need(client, outputs, deployment):
    (image,) = client("ecr").describe_images(repositoryName=f"{NAME}/ber")["imageDetails"]
    repository = outputs["ecr_repositories"]["ber"]
    assert repository == f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{NAME}/ber"
    cluster, workload = deployment["cluster"], deployment["workloads"]["ber"]
    assert {key: value for key, value in deployment.items() if key not in {"cluster", "workloads"}} == {
        "schema": 1,
        "environment": "local",
        "region": REGION,
        "account_id": ACCOUNT,
        "dags_bucket": f"winbatch-local-{ACCOUNT}-{REGION}-dags",
        "dags_prefix": "dags",
        "data_prefixes": ["jobs", "sim"],
        "data_bucket": f"winbatch-local-{ACCOUNT}-{REGION}-data",
        "airflow": {"environment": "winbatch-local", "version": "3.2.1"},
        "metrics_log_group": "/winbatch/local/engine/metrics",
    }
    assert {key: cluster[key] for key in ("name", "capacity_provider", "auto_scaling_group")} == dict.fromkeys(
        ("name", "capacity_provider", "auto_scaling_group"), "winbatch-local"
    )
    assert len(cluster["subnets"]) == 2
    assert len(cluster["security_groups"]) == 1
    assert cluster["instance_types"] == [
        {"type": "c5.xlarge", "vcpus": 4, "memory_mib": 8192, "network_interfaces": 4, "usd_per_hour": 0.378}
    ]
    assert workload == {
        "task_definition": f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/winbatch-local-ber:1",
        "container": "ber",
        "cpu": 4096,
        "memory": 6144,
        "image": f"{repository}@{image['imageDigest']}",
        "log_group": "/winbatch/local/ber",
        "log_stream_prefix": "ber",
        "dags": ["ber", "ber-octave"],
        "inputs": ["sim/inputs"],
    }


def test_buckets_keep_versions_keys_and_who_may_ask(client, outputs):
    s3 = client("s3")
    body = s3.get_object(Bucket=outputs["dags_bucket"], Key="dags/deployment.json")["Body"].read()
    assert json.loads(body) == outputs["deployment"]
    logs = f"winbatch-local-{ACCOUNT}-{REGION}-logs"
    for bucket in (outputs["dags_bucket"], outputs["data_bucket"], logs):
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
        (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        algorithm = "AES256" if bucket == logs else "aws:kms"
        assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm
        found = {one["Sid"]: one for one in json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]}
        further = {"TakeAccessLogs"} if bucket == logs else {"NoKeyOfTheWriters", "NoOtherEncryption"}
        assert set(found) == {"OnlyTls", "OnlyThisAccount"} | further
        assert found["OnlyTls"]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert found["OnlyThisAccount"]["Condition"] == {
            "StringNotEquals": {"aws:PrincipalAccount": ACCOUNT},
            "BoolIfExists": {"aws:PrincipalIsAWSService": "false"},
        }
        logging = s3.get_bucket_logging(Bucket=bucket).get("LoggingEnabled")
        assert logging == (
            None if bucket == logs else {"TargetBucket": logs, "TargetPrefix": f"{bucket.rpartition('-')[2]}/"}
        )
    # Under the bucket's key or not at all.
    for foreign in ({"ServerSideEncryption": "AES256"}, {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}):
        with pytest.raises(s3.exceptions.ClientError, match="Denied"):
            s3.put_object(Bucket=outputs["data_bucket"], Key="jobs/x", Body=b"{}", **foreign)


def test_the_workers_run_as_windows_containers(client, deployment):
    workload = deployment["workloads"]["ber"]
    definition = client("ecs").describe_task_definition(taskDefinition=workload["task_definition"])
    definition = definition["taskDefinition"]
    (container,) = definition["containerDefinitions"]
    assert definition["runtimePlatform"] == {
        "cpuArchitecture": "X86_64",
        "operatingSystemFamily": "WINDOWS_SERVER_2022_CORE",
    }
    assert definition["networkMode"] == "awsvpc"
    assert (container["image"], container["cpu"], container["memory"]) == (workload["image"], 4096, 6144)
    environment = {variable["name"]: variable["value"] for variable in container["environment"]}
    assert environment == {"AWS_REGION": REGION, "WINBATCH_SLOTS": "4"}


def test_airflow_runs_and_each_of_its_log_groups_ends(client, outputs):
    mwaa = client("mwaa").get_environment(Name=outputs["mwaa_environment"])["Environment"]
    assert mwaa["Status"] == "AVAILABLE"
    assert mwaa["AirflowVersion"] == "3.2.1"
    assert outputs["airflow_webserver_url"] == f"https://{mwaa['WebserverUrl']}"
    groups = client("logs").describe_log_groups()["logGroups"]
    ours = {group["logGroupName"]: group for group in groups}
    # Every group that AWS would make on its own is there beforehand, with an end and a key.
    assert set(outputs["log_groups"]) <= set(ours)
    for name in outputs["log_groups"]:
        assert ours[name]["retentionInDays"] == 365
        assert "kmsKeyId" in ours[name], name


def test_roles_act_for_this_account_only(client):
    iam = client("iam")
    for role in iam.list_roles()["Roles"]:
        if not role["RoleName"].startswith("winbatch-local"):
            continue
        for statement in statements(role["AssumeRolePolicyDocument"]):
            services = listed(statement["Principal"]["Service"])
            # EC2 names no source; everyone else acts for our account only.
            if services != ["ec2.amazonaws.com"]:
                assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == ACCOUNT, role["RoleName"]
                assert "aws:SourceArn" in statement["Condition"]["ArnLike"], role["RoleName"]


def test_airflow_may_do_what_it_needs_and_no_more(client, deployment):
    allowed = role_statements(client, "winbatch-local-airflow")
    by_id = {statement["Sid"]: statement for statement in allowed}
    cluster = f"arn:aws:ecs:{REGION}:{ACCOUNT}:cluster/winbatch-local"
    assert set(listed(by_id["PassRolesToWorkers"]["Resource"])) == {
        f"arn:aws:iam::{ACCOUNT}:role/winbatch-local-execution",
        f"arn:aws:iam::{ACCOUNT}:role/winbatch-local-task",
        *(f"arn:aws:iam::{ACCOUNT}:role/winbatch-local-task-{workload}" for workload in ("ber", "ber-octave", "tools")),
    }
    assert by_id["PassRolesToWorkers"]["Condition"] == {
        "StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    }
    assert set(listed(by_id["RunWorkers"]["Resource"])) == {
        f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/winbatch-local-{workload}:*"
        for workload in ("ber", "ber-octave", "tools")
    }
    # Instances go one by one, of this group and cluster only.
    (scaling,) = listed(by_id["ScaleCluster"]["Resource"])
    assert scaling == f"arn:aws:autoscaling:{REGION}:{ACCOUNT}:autoScalingGroup:*:autoScalingGroupName/winbatch-local"
    assert "autoscaling:TerminateInstanceInAutoScalingGroup" in by_id["ScaleCluster"]["Action"]
    assert "ecs:UpdateContainerInstancesState" in by_id["WatchAndStopWorkers"]["Action"]
    for statement in allowed:
        actions = listed(statement["Action"])
        assert not {"*", "s3:*", "ecs:*", "iam:*"} & set(actions), statement["Sid"]
        if {"ecs:ListTasks", "ecs:RunTask", "ecs:StopTask", "ecs:UpdateContainerInstancesState"} & set(actions):
            assert statement["Condition"]["ArnEquals"]["ecs:cluster"] == cluster, statement["Sid"]
        if any(action.startswith("autoscaling:") and "Describe" not in action for action in actions):
            assert listed(statement["Resource"]) == [scaling], statement["Sid"]
        assert not any(action.startswith("s3:Delete") for action in actions), statement["Sid"]
        if any(action.startswith("s3:Put") for action in actions):
            assert listed(statement["Resource"]) == data_prefixes(deployment["data_bucket"]), statement["Sid"]


def test_workers_write_where_results_of_their_workloads_jobs_lie_and_nowhere_else(client):
    writable = [
        resource.removeprefix(f"arn:aws:s3:::winbatch-local-{ACCOUNT}-{REGION}-data/")
        for statement in role_statements(client, "winbatch-local-task-ber-octave")
        if "s3:PutObject" in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]
    folders = ("jobs", "jobs/results", "sim", "sim/aggregate_results", "sim/task_results")
    assert sorted(writable) == sorted(f"{folder}/ber-octave/*" for folder in folders)


def test_nothing_is_let_in_but_airflow_to_itself(client):
    groups = client("ec2").describe_security_groups()["SecurityGroups"]
    inward = {
        group["GroupName"]: [
            (
                rule["IpProtocol"],
                rule.get("FromPort"),
                [pair["GroupId"] == group["GroupId"] for pair in rule["UserIdGroupPairs"]],
            )
            for rule in group["IpPermissions"]
        ]
        for group in groups
        if group["GroupName"].startswith("winbatch-local")
    }
    assert inward == {
        "winbatch-local-airflow": [("-1", None, [True])],
        "winbatch-local-endpoints": [("tcp", 443, [])],
        "winbatch-local-instances": [],
        "winbatch-local-tasks": [],
    }


def test_the_topic_takes_alarms_and_budgets_of_this_account(client, outputs):
    topic = client("sns").get_topic_attributes(TopicArn=outputs["alarm_topic"])["Attributes"]
    assert topic["KmsMasterKeyId"].startswith(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/")
    denied = [one["Condition"] for one in statements(topic["Policy"]) if one["Effect"] == "Deny"]
    assert denied == [{"Bool": {"aws:SecureTransport": "false"}}]
    source = {}
    for statement in statements(topic["Policy"]):
        if statement["Effect"] == "Deny":
            continue
        assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == ACCOUNT
        source[statement["Principal"]["Service"]] = statement["Condition"]["ArnLike"]["aws:SourceArn"]
    assert source == {
        "cloudwatch.amazonaws.com": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:winbatch-local-*",
        "budgets.amazonaws.com": f"arn:aws:budgets::{ACCOUNT}:*",
    }


def test_the_backstop_scales_an_idle_cluster_in_and_says_so(client):
    """What the backstop's alarm is about, and that it scales and tells when it is raised."""
    cloudwatch, asg, sqs = (client(service) for service in ("cloudwatch", "autoscaling", "sqs"))
    (alarm,) = cloudwatch.describe_alarms(AlarmNames=["winbatch-local-backstop"])["MetricAlarms"]
    (expression,) = (query["Expression"] for query in alarm["Metrics"] if query["ReturnData"])
    (period,) = {query["MetricStat"]["Period"] for query in alarm["Metrics"] if "MetricStat" in query}
    assert alarm["EvaluationPeriods"] * period == 60 * 60
    # A missing value is one of a metric without data: AWS/ECS without ECS tasks, the engine's without a job. Whether
    # FILL makes points of a series that has none, nobody says: it holds both ways.
    for fill in (lambda value, missing: missing if value is None else value, lambda value, missing: value):
        assert idle(expression, fill, desired=3, tasks=None, engine=None)
        assert idle(expression, fill, desired=3, tasks=0.0, engine=None)
        assert not idle(expression, fill, desired=0, tasks=None, engine=None)
        assert not idle(expression, fill, desired=3, tasks=25.0, engine=None), "workers finish what they hold"
        assert not idle(expression, fill, desired=3, tasks=None, engine=5), "a job that starts has no ECS task yet"

    queue = sqs.create_queue(QueueName="alarms")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = next(action for action in alarm["AlarmActions"] if ":sns:" in action)
    raw = {"RawMessageDelivery": "true"}
    client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes=raw)
    asg.set_desired_capacity(AutoScalingGroupName="winbatch-local", DesiredCapacity=2)
    cloudwatch.set_alarm_state(AlarmName=alarm["AlarmName"], StateValue="ALARM", StateReason="a drill")
    (group,) = asg.describe_auto_scaling_groups(AutoScalingGroupNames=["winbatch-local"])["AutoScalingGroups"]
    assert group["DesiredCapacity"] == 0
    (message,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    told = json.loads(message["Body"])
    assert (told["AlarmName"], told["NewStateValue"]) == ("winbatch-local-backstop", "ALARM")
    assert "winbatch-local is scaled to zero" in told["AlarmDescription"]
    assert "0.38 US dollars" in told["AlarmDescription"]


def idle(expression, fill, **values):
    """A metric math expression of comparisons for one period, as CloudWatch computes it: MAX takes what there is."""
    condition, yes, no = re.fullmatch(r"IF\((.+), (\d), (\d)\)", expression).groups()
    functions = {"FILL": fill, "MAX": lambda series: max(value for value in series if value is not None)}
    met = eval(condition.replace(" AND ", " and "), {"__builtins__": {}, **functions}, values)  # our own text
    return (yes if met else no) == "1"


def role_statements(client, role):
    iam = client("iam")
    documents = (
        iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]
    )
    return [statement for document in documents for statement in statements(document)]


def statements(document):
    yield from (json.loads(unquote(document)) if isinstance(document, str) else document)["Statement"]


def listed(value):
    return [value] if isinstance(value, str) else value


def data_prefixes(bucket):
    return [f"arn:aws:s3:::{bucket}/{prefix}/*" for prefix in ("sim", "jobs")]

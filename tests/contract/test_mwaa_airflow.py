"""One MWAA environment with its real Airflow, from creation to deletion."""

import json
import os
import signal
import textwrap
from pathlib import Path
from urllib.request import urlopen

import boto3
import psutil
import pytest
from botocore.config import Config

from emulator.mwaa import versions
from tests.emulated import ROOT, Emulator
from tests.processes import runs
from tests.waiting import wait_for

from . import world

pytestmark = pytest.mark.slow

# InvokeRestApi takes paths of 64 characters only, so names are short.
DAG = """
    import datetime
    import sys

    import boto3
    import beside
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
    from airflow.sdk import BaseOperator, dag, task

    @task(task_id="r")
    def runner():
        return {
            "arn": boto3.client("sts").get_caller_identity()["Arn"],
            "beside": beside.VALUE,
            "path": sys.path,
        }

    class Deferred(BaseOperator):
        def __init__(self, trigger, **arguments):
            super().__init__(**arguments)
            self.trigger_class = trigger

        def execute(self, context):
            self.defer(trigger=self.trigger_class(datetime.timedelta(seconds=2)), method_name="resume")

        def resume(self, context, event=None):
            return "resumed"

    @dag(dag_id="p", schedule=None, start_date=datetime.datetime(2026, 1, 1))
    def paths():
        runner()
        Deferred(task_id="stock", trigger=TimeDeltaTrigger)
        Deferred(task_id="own", trigger=beside.OwnTrigger)

    paths()
"""
BESIDE = """
    from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

    VALUE = 42

    class OwnTrigger(TimeDeltaTrigger):
        def serialize(self):
            return "beside.OwnTrigger", {"delta": 2}
"""
# What MWAA's own components need of the execution role (emulator/mwaa/duties.py names each).
DUTIES = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": ["airflow:PublishMetrics", "cloudwatch:PutMetricData", "logs:*", "s3:*", "sqs:*"],
            "Resource": "*",
        }
    ],
}


class Platform:
    """An emulator with a bucket, a role and a network, and calls to its MWAA."""

    def __init__(self, folder):
        # The environments of Airflow are made once, as for `invoke up`.
        cache = Path(os.environ.get("WINBATCH_CACHE", ROOT / ".cache"))
        self.emulator = Emulator(folder, "--cache", str(cache))
        self.s3, iam, ec2 = (self.client(name) for name in ("s3", "iam", "ec2"))
        self.mwaa = self.client("mwaa")
        self.s3.create_bucket(Bucket="dags", CreateBucketConfiguration={"LocationConstraint": world.REGION})
        self.s3.put_bucket_versioning(Bucket="dags", VersioningConfiguration={"Status": "Enabled"})
        trust = json.dumps(world.AIRFLOW_TRUST)
        self.role = iam.create_role(RoleName="airflow", AssumeRolePolicyDocument=trust)
        iam.put_role_policy(RoleName="airflow", PolicyName="duties", PolicyDocument=json.dumps(DUTIES))
        self.network = {
            "SubnetIds": [subnet["SubnetId"] for subnet in ec2.describe_subnets()["Subnets"]][:2],
            "SecurityGroupIds": [ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]],
        }

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.emulator.endpoint,
            region_name=world.REGION,
            aws_access_key_id="local",
            aws_secret_access_key="test",
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}),
        )

    def put(self, key, text):
        self.s3.put_object(Bucket="dags", Key=key, Body=textwrap.dedent(text).encode())

    def create(self, name, **given):
        return self.mwaa.create_environment(
            Name=name,
            ExecutionRoleArn=self.role["Role"]["Arn"],
            SourceBucketArn="arn:aws:s3:::dags",
            DagS3Path="dags",
            NetworkConfiguration=self.network,
            **given,
        )

    def settled(self, name):
        """The environment once it is neither being made nor changed."""
        moving = {"CREATING", "UPDATING", "ROLLING_BACK"}

        def look():
            environment = self.mwaa.get_environment(Name=name)["Environment"]
            return environment if environment["Status"] not in moving else None

        return wait_for(look)

    def page(self):
        with urlopen(f"{self.emulator.endpoint}/_emulator/mwaa") as answer:
            return {environment["name"]: environment for environment in json.load(answer)}

    def api(self, method, path, **more):
        return self.mwaa.invoke_rest_api(Name="wb", Method=method, Path=path, **more)["RestApiResponse"]

    def served(self, path):
        """What Airflow says once it does not say 404 any more."""

        def look():
            try:
                return self.api("GET", path)
            except self.mwaa.exceptions.RestApiClientException as error:
                if error.response["RestApiStatusCode"] != 404:
                    raise
                return None

        return wait_for(look)


@pytest.fixture(scope="module")
def platform(tmp_path_factory):
    made = Platform(tmp_path_factory.mktemp("mwaa"))
    yield made
    made.emulator.stop()


def family(platform):
    """Everything that runs for the environment: processes that name its folder."""
    folder = str(platform.emulator.state / "mwaa" / "wb")
    found = []
    for process in psutil.process_iter():
        try:
            if folder in " ".join(process.cmdline()) or process.environ().get("AIRFLOW_HOME", "").startswith(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.aws(
    does="MWAA looks into the bucket for changed and deleted DAGs about every thirty seconds.",
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/configuring-dag-folder.html",
    sure="documented",
)
@pytest.mark.aws(
    does="Airflow's code runs with the environment's execution role.",
    source="https://docs.aws.amazon.com/mwaa/latest/userguide/mwaa-create-role.html",
    sure="documented",
)
@pytest.mark.aws(
    does="The triggerer does not find code of the DAG folder.",
    source="https://github.com/apache/airflow/issues/65455",
    sure="reported",
)
@pytest.mark.aws(
    does="An environment is UPDATING until its update has ended, and takes no other meanwhile.",
    source="https://docs.aws.amazon.com/mwaa/latest/API/API_UpdateEnvironment.html",
    sure="documented",
)
@pytest.mark.aws(
    does="Requirements that contradict what MWAA fixes do not become part of an environment.",
    source="https://github.com/aws/aws-mwaa-local-runner/issues/278",
    sure="assumed",
)
def test_an_environment_from_creation_to_deletion(platform):
    platform.put("dags/beside.py", BESIDE)
    platform.put("dags/paths.py", DAG)
    arn = platform.create("wb", Tags={"owner": "tests"}, AirflowConfigurationOptions={"core.parallelism": "8"})["Arn"]
    begun = platform.mwaa.get_environment(Name="wb")["Environment"]
    assert begun["Status"] == "CREATING", begun["LastUpdate"]
    environment = platform.settled("wb")
    assert environment["Status"] == "AVAILABLE", environment
    assert environment["LastUpdate"]["Status"] == "SUCCESS"
    assert environment["Tags"] == {"owner": "tests"}
    assert environment["AirflowVersion"] == platform.api("GET", "/version")["version"] == versions.DEFAULT

    shows_a_dag_and_runs_it(platform)
    takes_a_changed_dag_and_forgets_a_deleted_one(platform)
    logs_in(platform, environment)
    starts_again_what_died(platform)
    updates(platform)
    undoes_an_update_that_fails(platform)
    refuses_requirements_that_contradict_mwaa(platform)
    tags(platform, arn)

    processes = family(platform)
    assert processes
    platform.mwaa.delete_environment(Name="wb")
    wait_for(lambda: "wb" not in platform.mwaa.list_environments()["Environments"])
    assert not [process for process in processes if runs(process)]
    assert not (platform.emulator.state / "mwaa" / "wb").exists()


def shows_a_dag_and_runs_it(platform):
    platform.served("/dags/p")
    platform.api("PATCH", "/dags/p", Body={"is_paused": False})
    platform.api("POST", "/dags/p/dagRuns", Body={"dag_run_id": "r1", "logical_date": None, "conf": {}})
    tasks = "/dags/p/dagRuns/r1/taskInstances"
    ended = wait_for(lambda: platform.api("GET", "/dags/p/dagRuns/r1")["state"] in {"success", "failed"} or None)
    assert ended
    states = {task["task_id"]: task["state"] for task in platform.api("GET", tasks)["task_instances"]}
    assert states == {"r": "success", "stock": "success", "own": "failed"}, "as on MWAA"
    value = platform.api("GET", f"{tasks}/r/xcomEntries/return_value")["value"]
    value = json.loads(value) if isinstance(value, str) else value
    assert value["beside"] == 42
    assert ":assumed-role/airflow/" in value["arn"], "Airflow's code runs as the execution role"
    assert value["path"][-1].endswith("/airflow/dags")
    assert "No module named 'beside'" in json.dumps(platform.api("GET", f"{tasks}/own/logs/1"))


def takes_a_changed_dag_and_forgets_a_deleted_one(platform):
    platform.put("dags/second.py", DAG.replace('"p"', '"second"'))
    platform.served("/dags/second")
    dags = platform.emulator.state / "mwaa" / "wb" / "airflow" / "dags"
    platform.s3.delete_object(Bucket="dags", Key="dags/second.py")
    wait_for(lambda: not (dags / "second.py").exists())
    assert (dags / "paths.py").exists()


def logs_in(platform, environment):
    shown = platform.page()["wb"]
    assert shown["url"] == f"http://{environment['WebserverUrl']}"
    file = Path(shown["password_file"])
    assert file.stat().st_mode & 0o077 == 0
    assert set(json.loads(file.read_text(encoding="utf-8"))) == {"url", "username", "password"}
    token = platform.mwaa.create_web_login_token(Name="wb")
    assert token["WebServerHostname"] == environment["WebserverUrl"]
    assert token["WebToken"].count(".") == 2


def starts_again_what_died(platform):
    scheduler = platform.page()["wb"]["processes"]["scheduler"]
    os.kill(scheduler, signal.SIGKILL)
    wait_for(lambda: platform.page()["wb"]["processes"]["scheduler"] != scheduler)
    assert platform.mwaa.get_environment(Name="wb")["Environment"]["Status"] == "AVAILABLE"


def updates(platform):
    platform.mwaa.update_environment(Name="wb", AirflowConfigurationOptions={"core.parallelism": "3"})
    assert platform.mwaa.get_environment(Name="wb")["Environment"]["Status"] == "UPDATING"
    with pytest.raises(platform.mwaa.exceptions.ValidationException, match="cannot be updated while"):
        platform.mwaa.update_environment(Name="wb", MaxWorkers=3)
    environment = platform.settled("wb")
    assert (environment["Status"], environment["LastUpdate"]["Status"]) == ("AVAILABLE", "SUCCESS")
    assert environment["AirflowConfigurationOptions"] == {"core.parallelism": "3"}
    scheduler = psutil.Process(platform.page()["wb"]["processes"]["scheduler"])
    assert scheduler.environ()["AIRFLOW__CORE__PARALLELISM"] == "3"
    assert platform.api("GET", "/dags/p/dagRuns/r1")["state"] == "failed", "the database is still there"


def undoes_an_update_that_fails(platform):
    platform.put("requirements.txt", "flask==3.0.0\n")
    platform.mwaa.update_environment(Name="wb", RequirementsS3Path="requirements.txt")
    environment = platform.settled("wb")
    assert (environment["Status"], environment["LastUpdate"]["Status"]) == ("UPDATE_FAILED", "FAILED")
    assert "flask==3.1.3" in environment["LastUpdate"]["Error"]["ErrorMessage"]
    assert "RequirementsS3Path" not in environment
    assert platform.api("GET", "/dags/p/dagRuns/r1")["state"] == "failed"


def refuses_requirements_that_contradict_mwaa(platform):
    platform.put("requirements.txt", "flask==3.0.0\n")
    platform.create("bad", RequirementsS3Path="requirements.txt")
    environment = platform.settled("bad")
    assert environment["Status"] == "CREATE_FAILED"
    error = environment["LastUpdate"]["Error"]["ErrorMessage"]
    assert "requirements.txt cannot be installed beside what MWAA fixes for Airflow 3.2.1" in error
    assert "flask==3.1.3" in error
    assert platform.page()["bad"]["processes"] == {}
    platform.mwaa.delete_environment(Name="bad")
    wait_for(lambda: "bad" not in platform.mwaa.list_environments()["Environments"])


def tags(platform, arn):
    platform.mwaa.tag_resource(ResourceArn=arn, Tags={"more": "1"})
    platform.mwaa.untag_resource(ResourceArn=arn, tagKeys=["owner"])
    assert platform.mwaa.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"more": "1"}

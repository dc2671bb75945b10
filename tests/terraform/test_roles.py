"""The pipeline's roles do all that they are there for, and no statement of theirs is there for nothing."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from scripts.checks import provider
from scripts.core.errors import PlanRefused
from scripts.core.settings import Settings
from scripts.images.linux import assemble, push
from scripts.terraform import encryption
from scripts.tools import terraform_command
from tests.emulated import emulating
from tests.waiting import wait_for

from .conftest import LEFT_OUT, REGION, ROOT, Emulator, Terraform, clean_environ, cli_config

pytestmark = pytest.mark.slow
ACCOUNT = "123456789012"
WORK = assemble({}, {}, ("/bin/sh", "-c", "echo at work; exec sleep 600"))
DIGESTS = {"ber": WORK.digest}
ISSUER = "token.actions.githubusercontent.com"
PROVIDER = json.dumps(
    {
        "max_retries": 2,
        "s3_use_path_style": True,
        "skip_metadata_api_check": True,
    }
)
# What each environment has: every option, and of those that rule each other out, one here and one there.
OPTIONS = {"dev": ("every_option", "other_options"), "prod": ("every_option",)}
# Production keeps what it holds, which every environment does that does not say otherwise.
ENDS = {"dev": True, "prod": False}
BACKEND = ("use_path_style=true", "skip_credentials_validation=true", "skip_requesting_account_id=true")


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[Emulator]:
    with emulating(tmp_path / "emulator", "--no-airflow", "--identity", "enforce", environ=clean_environ()) as process:
        yield Emulator(process.endpoint)


def web_identity(subject: str) -> str:
    """A token as GitHub gives it to a job; the emulator looks at no signature."""
    claims = {"iss": f"https://{ISSUER}", "aud": "sts.amazonaws.com", "sub": subject}
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + ".x"


@contextmanager
def commands(emulator: Emulator, folder: Path, home: Path, role: dict[str, str] | None) -> Iterator[Terraform]:
    """Terraform's commands in a folder, in somebody's name; an administrator's without a role."""
    home.mkdir()
    keys = role or {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    environ = clean_environ() | {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": emulator.endpoint,
        "AWS_REGION": REGION,
        "HTTP_PROXY": emulator.endpoint,
        "TF_CLI_CONFIG_FILE": str(cli_config(home)),
        "TF_IN_AUTOMATION": "1",
        **keys,
    }
    with provider.kept(provider.for_tests(), environ, home) as variables:
        binary = terraform_command.find_terraform(Settings.load("local"))
        yield Terraform(binary, folder, environ | variables)


def assumed(emulator: Emulator, role: str, subject: str) -> dict[str, str]:
    """The credentials of a role for a job of GitHub's."""
    answer = emulator.client("sts").assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="job", WebIdentityToken=web_identity(subject)
    )["Credentials"]
    return as_environment(answer)


def as_environment(keys: dict[str, Any]) -> dict[str, str]:
    """STS's answer as the variables that everybody reads."""
    return {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }


def decided(emulator: Emulator) -> dict[str, Any]:
    """What the emulator decided, by role."""
    with urlopen(f"{emulator.endpoint}/_emulator/identity") as answer:
        roles: dict[str, Any] = json.load(answer)["roles"]
    return roles


@dataclass(frozen=True)
class Pipeline:
    """The pipeline's two roles at work in an environment, and those whom it makes roles for.

    Attributes:
        emulator: in which it lives
        name: of the environment
        planning: Terraform by the plan role
        applying: Terraform by the apply role
        plan: the plan role's keys
        apply: the apply role's keys
        key: the state's key
    """

    emulator: Emulator
    name: str
    planning: Terraform
    applying: Terraform
    plan: dict[str, str]
    apply: dict[str, str]
    key: str

    def client(self, keys: dict[str, str], service: str) -> Any:
        config = Config(proxies={}, inject_host_prefix=False, s3={"addressing_style": "path"})
        words = {name.lower(): value for name, value in keys.items()}
        return boto3.client(service, region_name=REGION, endpoint_url=self.emulator.endpoint, config=config, **words)

    def service_role(self, kind: str) -> dict[str, str]:
        """The keys of a role that only a service may assume: its trust takes us in for as long as that takes."""
        iam, name = self.emulator.client("iam"), f"winbatch-{self.name}-{kind}"
        role = iam.get_role(RoleName=name)["Role"]
        root = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        ours = {"Statement": [{"Effect": "Allow", "Principal": root, "Action": "sts:AssumeRole"}]}
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps({"Version": "2012-10-17", **ours}))
        sts = self.emulator.client("sts")
        keys = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="job")["Credentials"]
        trust = json.dumps(role["AssumeRolePolicyDocument"])
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
        return as_environment(keys)


@contextmanager
def pipeline(name: str, emulator: Emulator, folder: Path) -> Iterator[Pipeline]:
    """What `invoke bootstrap` makes of an account, and the roles of GitHub's jobs in it."""
    bootstrap, root = folder / "bootstrap", folder / "root"
    shutil.copytree(ROOT / "terraform" / "bootstrap", bootstrap, ignore=LEFT_OUT)
    (bootstrap / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    shutil.copytree(ROOT / "terraform", root, ignore=LEFT_OUT)
    with commands(emulator, bootstrap, folder / "administrator", None) as terraform:
        terraform.run("init", "-input=false")
        values = [
            f"-var=aws_provider={PROVIDER}",
            f"-var=environment={name}",
            f"-var=region={REGION}",
            f"-var=state_bucket=winbatch-{name}-tfstate",
            '-var=github={repository="acme/winbatch"}',
        ]
        terraform.run("apply", "-input=false", "-auto-approve", *values)
        outputs = terraform.outputs()
    roles = outputs["github"]["roles"]
    plan = assumed(emulator, roles["plan"], f"repo:acme/winbatch:environment:{name}-plan")
    apply = assumed(emulator, roles["apply"], f"repo:acme/winbatch:environment:{name}")
    with (
        commands(emulator, root, folder / "plan", plan) as planning,
        commands(emulator, root, folder / "apply", apply) as applying,
    ):
        key = outputs["backend"]["kms_key_arn"]
        yield Pipeline(emulator, name, planning, applying, plan, apply, key)


def beside_terraform(made: Pipeline) -> None:
    """What the verbs do by the pipeline's roles beside Terraform: plans sealed and opened, images, releases."""
    context = {"environment": made.name, "purpose": "plan"}
    packed = encryption.seal(made.client(made.plan, "kms"), made.key, b"plan", context)
    assert encryption.unseal(made.client(made.apply, "kms"), packed, context) == b"plan"
    with pytest.raises(PlanRefused, match="kms:Decrypt"):
        encryption.unseal(made.client(made.plan, "kms"), packed, context)
    state = {"Bucket": f"winbatch-{made.name}-tfstate", "Key": "begun"}
    s3, ecr = made.client(made.apply, "s3"), made.client(made.apply, "ecr")
    s3.put_object(**state, Body=b"")
    s3.delete_object(**state)
    ecr.get_authorization_token()
    made.client(made.apply, "ecs").list_tasks(cluster=f"winbatch-{made.name}")
    push(ecr, f"winbatch-{made.name}/ber", WORK)
    dags = {"Bucket": f"winbatch-{made.name}-{ACCOUNT}-{REGION}-dags", "Key": "dags/deployment.json"}
    made.client(made.plan, "s3").get_object(**dags)
    # Of releases the plan role reads the jobs, since roles follow from them, and no code.
    for key in ("dags/releases/1/jobs/ber.yaml", "dags/releases/1/batch.py"):
        s3.put_object(**dags | {"Key": key}, Body=b"")
    planning = made.client(made.plan, "s3")
    assert len(planning.list_objects_v2(Bucket=dags["Bucket"], Prefix="dags/releases/")["Contents"]) == 2
    planning.get_object(**dags | {"Key": "dags/releases/1/jobs/ber.yaml"})
    with pytest.raises(ClientError, match="s3:GetObject"):
        planning.get_object(**dags | {"Key": "dags/releases/1/batch.py"})
    ec2 = made.client(made.plan, "ec2")
    with pytest.raises(ClientError, match="explicit deny in an identity-based policy"):
        ec2.describe_instance_attribute(InstanceId="i-00000000000000001", Attribute="userData")


def a_job(made: Pipeline) -> None:
    """What a job asks of AWS, by the roles of Airflow and of workers; its host joins by one more."""
    cluster = f"winbatch-{made.name}"
    airflow = made.service_role("airflow")
    ecs, scaling = made.client(airflow, "ecs"), made.client(airflow, "autoscaling")
    data = f"winbatch-{made.name}-{ACCOUNT}-{REGION}-data"
    # The last one is of workers of earlier releases.
    for keys in (airflow, made.service_role("task-ber"), made.service_role("task")):
        s3 = made.client(keys, "s3")
        s3.put_object(Bucket=data, Key="jobs/ber/x/job.json", Body=b"{}")
        s3.get_object(Bucket=data, Key="jobs/ber/x/job.json")
        s3.list_objects_v2(Bucket=data, Prefix="jobs/ber/")
        with pytest.raises(ClientError, match="NoSuchKey"):
            s3.get_object(Bucket=data, Key="jobs/ber/x/none")
        with pytest.raises(ClientError, match="s3:PutObject"):
            s3.put_object(Bucket=data, Key="elsewhere", Body=b"{}")
    apart(made, data)
    if made.name == "dev":
        # The first host's agent does not start: it says so, and another one comes.
        fault = json.dumps({"kind": "fail-agent", "times": 1}).encode()
        urlopen(Request(f"{made.emulator.endpoint}/_emulator/faults", data=fault)).close()
        scaling.launch_instances(AutoScalingGroupName=cluster, RequestedCapacity=1, AvailabilityZones=[f"{REGION}a"])
    else:
        # A warm pool's instances are taken by the desired capacity alone.
        scaling.set_desired_capacity(AutoScalingGroupName=cluster, DesiredCapacity=1)
    scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[cluster])
    wait_for(lambda: ecs.list_container_instances(cluster=cluster)["containerInstanceArns"])
    (host,) = ecs.list_container_instances(cluster=cluster)["containerInstanceArns"]
    described = ecs.describe_container_instances(cluster=cluster, containerInstances=[host])["containerInstances"][0]
    network = made.emulator.client("ec2").describe_subnets()["Subnets"]
    run = ecs.run_task(
        cluster=cluster,
        taskDefinition=f"{cluster}-ber",
        capacityProviderStrategy=[{"capacityProvider": cluster, "weight": 1}],
        startedBy="x",
        enableECSManagedTags=True,
        tags=[{"key": "job", "value": "x"}],
        networkConfiguration={"awsvpcConfiguration": {"subnets": [network[0]["SubnetId"]]}},
    )
    (arn,) = (entry["taskArn"] for entry in run["tasks"])
    ecs.list_tasks(cluster=cluster, startedBy="x")
    wait_for(lambda: ecs.describe_tasks(cluster=cluster, tasks=[arn])["tasks"][0]["lastStatus"] == "RUNNING")
    ecs.stop_task(cluster=cluster, task=arn)
    ecs.update_container_instances_state(cluster=cluster, containerInstances=[host], status="DRAINING")
    logs, stream = (
        made.client(airflow, "logs"),
        {"logGroupName": f"/winbatch/{made.name}/engine/metrics", "logStreamName": "x"},
    )
    logs.create_log_stream(**stream)
    logs.put_log_events(**stream, logEvents=[{"timestamp": int(time.time() * 1000), "message": "{}"}])
    scaling.terminate_instance_in_auto_scaling_group(
        InstanceId=described["ec2InstanceId"], ShouldDecrementDesiredCapacity=True
    )


def apart(made: Pipeline, data: str) -> None:
    """A workload's role works on the jobs of its own DAGs, and reads its own inputs: nothing of another's."""
    whole = made.emulator.client("s3")
    for workload, dag, other in (("ber", "ber", "theirs"), ("own", "theirs", "ber")):
        s3 = made.client(made.service_role(f"task-{workload}"), "s3")
        # As every_option.tfvars has it.
        given = {"ber": "sim/inputs/ber/a", "theirs": "team/other/inputs/a"}
        for key in given.values():
            whole.put_object(Bucket=data, Key=key, Body=b"a")
        for place in ("jobs/{}/", "jobs/results/{}/", "sim/{}/", "sim/task_results/{}/", "sim/aggregate_results/{}/"):
            s3.put_object(Bucket=data, Key=f"{place.format(dag)}x/1", Body=b"{}")
            s3.get_object(Bucket=data, Key=f"{place.format(dag)}x/1")
            s3.list_objects_v2(Bucket=data, Prefix=f"{place.format(dag)}x/")
            with pytest.raises(ClientError, match="s3:PutObject"):
                s3.put_object(Bucket=data, Key=f"{place.format(other)}x/1", Body=b"{}")
            with pytest.raises(ClientError, match="s3:GetObject"):
                s3.get_object(Bucket=data, Key=f"{place.format(other)}x/1")
            with pytest.raises(ClientError, match="s3:ListBucket"):
                s3.list_objects_v2(Bucket=data, Prefix=place.format(other))
        s3.get_object(Bucket=data, Key=given[dag])
        with pytest.raises(ClientError, match="s3:GetObject"):
            s3.get_object(Bucket=data, Key=given[other])
        with pytest.raises(ClientError, match="s3:PutObject"):
            s3.put_object(Bucket=data, Key=given[dag], Body=b"b")


def kept(made: Pipeline, values: list[str]) -> list[str]:
    """Production keeps what it holds, until somebody says so first: the values with which it ends.

    Source of the way: docs/decisions/0151.
    """
    s3 = made.client(made.apply, "s3")
    data = f"winbatch-{made.name}-{ACCOUNT}-{REGION}-data"
    (version,) = s3.list_object_versions(Bucket=data, Prefix="jobs/ber/x/job.json", MaxKeys=1)["Versions"]
    with pytest.raises(ClientError, match=r"s3:DeleteObjectVersion .* explicit deny in a resource-based policy"):
        s3.delete_object(Bucket=data, Key=version["Key"], VersionId=version["VersionId"])
    with pytest.raises(ClientError, match=r"s3:DeleteBucket .* explicit deny in a resource-based policy"):
        s3.delete_bucket(Bucket=data)
    assert "BucketNotEmpty" in made.applying.refusal("destroy", "-input=false", "-auto-approve", *values)
    assert s3.get_object(Bucket=data, Key=version["Key"])["Body"].read() == b"{}"
    ending = ["-var=force_destroy=true"]
    made.applying.run("apply", "-input=false", "-auto-approve", *values, *ending, digests=DIGESTS)
    return ending


# Statements that nothing here uses, and why they are there all the same; those of one environment below.
UNUSED = {
    **dict.fromkeys(
        ("OwnImages", "AskForScans", "SharedStorageStack", "JoinDomain", "ForwardDomain", "SharedStorage",
         "FindSecurityGroups", "MakeSharedStorage", "ImageBuilder", "ImageBuilderProgram", "Secrets"),
        "an option that the emulator has no service for",
    ),
    "ReadOwnObjects": "the apply role's own statement of objects covers it there; the plan role uses it",
    "ReadRepositories": "as above",
    "ReadAirflow": "as above",
    "ReadTopics": "as above",
    "DecryptOwnObjects": "as above",
    "NotOthersUserData": "as above",
    "SealPlan": "as above",
}  # fmt: skip
UNUSED_IN = {
    "dev": {},
    "prod": {
        "LaunchByFleet": "its group has a warm pool, which LaunchInstances does not take",
        "SayUnhealthy": "no host's agent fails here, as dev's first one does",
    },
}


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_an_environment_lives_by_the_pipelines_roles(
    name: str, emulator: Emulator, tmp_path: Path, record_property: Callable[[str, object], None]
):
    values = [
        f"-var=aws_provider={PROVIDER}",
        f"-var-file=environments/{name}.tfvars",
        *(f"-var-file={Path(__file__).parent / options}.tfvars" for options in OPTIONS[name]),
        f"-var=permissions_boundary=deployment/winbatch-{name}-boundary",
        f"-var=force_destroy={json.dumps(ENDS[name])}",
    ]
    backend = [f"-backend-config=environments/{name}.s3.tfbackend", *(f"-backend-config={one}" for one in BACKEND)]
    with pipeline(name, emulator, tmp_path) as made:
        made.planning.run("init", "-input=false", "-lockfile=readonly", *backend)
        made.planning.run("plan", "-input=false", "-out=first.plan", *values, digests=DIGESTS)
        made.applying.run("apply", "-input=false", "first.plan", digests=DIGESTS)
        made.planning.run("plan", "-input=false", "-detailed-exitcode", *values, digests=DIGESTS)
        # Up to here nobody was refused anything.
        assert refused(decided(emulator)) == []
        beside_terraform(made)
        a_job(made)
        if name == "prod":
            values = [*values, *kept(made, values)]
        before = decided(emulator)
        made.applying.run("destroy", "-input=false", "-auto-approve", *values, digests=DIGESTS)
    found = decided(emulator)
    assert refused(found) == refused(before)
    # Each statement is there for something: without it some call would have been decided otherwise.
    proven, unproven = statements(found, name, "proven"), statements(found, name, "unproven")
    excused = {**UNUSED, **UNUSED_IN[name]}
    named = {one: one.partition("#")[2] for one in unproven - proven}
    assert excused.keys() <= set(named.values()), "what is proven needs no reason"
    left = {one for one, statement in named.items() if statement not in excused}
    share = len(proven) / (len(proven) + len(left))
    assert share >= 0.95, sorted(left)
    record_property("aws.statements_proven", round(share, 4))


def statements(found: dict[str, Any], name: str, what: str) -> set[str]:
    """Statements of the environment's roles; the boundary's are all roles', once."""
    return {
        one if "boundary#" in one else f"{role}: {one}"
        for role, page in found.items()
        if role.startswith(f"winbatch-{name}-")
        for one in page[what]
    }


def refused(found: dict[str, Any]) -> list[str]:
    """The words of all refusals, once each."""
    return sorted({refusal["why"] for page in found.values() for refusal in page["refused"]})

"""What down empties, sweeps and finds, in moto."""

from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from scripts.core.console import Steps
from scripts.core.errors import AirflowError, OperatorError, PreflightError
from scripts.environments import lifecycle, teardown
from scripts.environments.teardown import Target

REGION = "eu-central-1"
TARGET = Target("winbatch-dev", "dev", "winbatch-dev", "winbatch-dev")
TAGS = {"environment": "dev", "root": "winbatch"}
PAIRS = [{"Key": key, "Value": value} for key, value in TAGS.items()]

MANIFEST = '{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}'


class Aws:
    def client(self, service):
        return boto3.client(service, REGION, aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture
def aws():
    with mock_aws():
        yield Aws()


def bucket(aws, name="dags"):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=name, Key="a", Body=body)
    s3.delete_object(Bucket=name, Key="a")
    return s3


def repository(aws):
    ecr = aws.client("ecr")
    ecr.create_repository(repositoryName="winbatch-dev/ber")
    ecr.put_image(repositoryName="winbatch-dev/ber", imageManifest=MANIFEST, imageTag="1")
    return ecr


def test_every_version_and_every_image_goes(aws):
    s3, ecr = bucket(aws), repository(aws)
    names = ["dags", "gone"], ["winbatch-dev/ber", "winbatch-dev/gone"]
    assert teardown.held(aws, *names) == {"dags": 3, "winbatch-dev/ber": 1}
    teardown.empty(aws, ["dags"], ["winbatch-dev/ber"], print)
    assert teardown.held(aws, *names) == {}
    s3.delete_bucket(Bucket="dags")
    ecr.delete_repository(repositoryName="winbatch-dev/ber")


def test_data_is_deleted_only_when_that_was_said(aws):
    bucket(aws)
    workspace = SimpleNamespace(aws=aws, settings=SimpleNamespace(environment="dev"), values=dict)
    with pytest.raises(PreflightError, match=r"dags \(3\) still hold something: call with --delete-data"):
        lifecycle._empty(workspace, ["dags"], [], Steps(), confirm=False, delete_data=False)
    with pytest.raises(PreflightError, match="There is nobody to ask"):
        lifecycle._empty(workspace, ["dags"], [], Steps(), confirm=True, delete_data=False)
    assert teardown.held(aws, ["dags"], []) == {"dags": 3}
    lifecycle._empty(workspace, ["dags"], [], Steps(), confirm=False, delete_data=True)
    assert teardown.held(aws, ["dags"], []) == {}


def test_other_peoples_dags_are_named_before_all_is_deleted(aws):
    s3 = bucket(aws)
    for key in ("dags/team.py", "dags/deployment.json"):
        s3.put_object(Bucket="dags", Key=key, Body=b"")
    values = {"dags_bucket": "dags", "deployment": {"dags_prefix": "dags"}}
    workspace = SimpleNamespace(aws=aws, settings=SimpleNamespace(environment="dev"), values=lambda: values)
    with pytest.raises(PreflightError, match=r"dags \(5\), of no release dags/team.py, still hold something"):
        lifecycle._empty(workspace, ["dags"], [], Steps(), confirm=False, delete_data=False)


def test_protected_instances_and_the_warm_pool_go(aws):
    ec2, scaling = aws.client("ec2"), aws.client("autoscaling")
    image = ec2.register_image(Name="image")["ImageId"]
    ec2.create_launch_template(
        LaunchTemplateName="template", LaunchTemplateData={"ImageId": image, "InstanceType": "c5.xlarge"}
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=TARGET.group,
        LaunchTemplate={"LaunchTemplateName": "template"},
        MinSize=1,
        MaxSize=3,
        DesiredCapacity=2,
        NewInstancesProtectedFromScaleIn=True,
        AvailabilityZones=[f"{REGION}a"],
    )
    scaling.put_warm_pool(AutoScalingGroupName=TARGET.group, MinSize=1)
    aws.client("ecs").create_cluster(clusterName=TARGET.cluster)
    assert teardown.drain(aws, TARGET, print, patience=5) == "0 ECS tasks stopped"
    (group,) = scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert (group["MinSize"], group["DesiredCapacity"], group["Instances"]) == (0, 0, [])
    assert "WarmPoolConfiguration" not in group


def instance(number, state="InService", *, protected=True):
    return {
        "InstanceId": f"i-{number}",
        "AvailabilityZone": f"{REGION}a",
        "LifecycleState": state,
        "HealthStatus": "Healthy",
        "ProtectedFromScaleIn": protected,
    }


class Scaling:
    """The calls on a group that goes through these states, a look each, and takes no protection of a `moved` one."""

    def __init__(self, *looks, moved=(), minimum=0, busy=0):
        self.looks, self.moved, self.minimum, self.busy, self.calls = iter(looks), moved, minimum, busy, []

    def describe_auto_scaling_groups(self, **_):
        group = {"MinSize": self.minimum, "DesiredCapacity": 0, "NewInstancesProtectedFromScaleIn": False}
        return {"AutoScalingGroups": [{**group, "Instances": instances} for instances in [next(self.looks)]]}

    def update_auto_scaling_group(self, **_):
        if self.busy:
            self.busy -= 1
            self.calls.append("busy")
            raise ClientError({"Error": {"Code": "ResourceContention"}}, "UpdateAutoScalingGroup")
        self.calls.append("update")

    def set_instance_protection(self, **call):
        self.calls.append(call["InstanceIds"])
        if set(self.moved) & set(call["InstanceIds"]):
            error = {"Code": "ValidationError", "Message": "The instance i-2 is not in InService or Standby."}
            raise ClientError({"Error": error}, "SetInstanceProtection")


def test_only_instances_whose_protection_can_be_changed_are_named_and_once():
    first = [instance(1), instance(2, "Pending"), instance(3, "Terminating:Wait"), instance(4, protected=False)]
    later = [instance(1), instance(2)]
    scaling, asked = Scaling(first, later, later), teardown.Asked()
    assert [teardown.scale_in(scaling, "g", asked) for _ in range(3)] == [4, 2, 2]
    assert scaling.calls == [["i-1"], ["i-2"]]


def test_one_that_moved_on_in_between_does_not_keep_the_others_protected():
    scaling = Scaling([instance(1), instance(2), instance(3)], moved=["i-2"])
    teardown.scale_in(scaling, "g", teardown.Asked())
    assert scaling.calls == [["i-1", "i-2", "i-3"], ["i-1"], ["i-2"], ["i-3"]]


def test_a_group_that_is_at_something_else_is_asked_again_at_the_next_look():
    scaling = Scaling([instance(1)], [instance(1)], minimum=1, busy=1)
    asked = teardown.Asked()
    assert [teardown.scale_in(scaling, "g", asked) for _ in range(2)] == [1, 1]
    assert scaling.calls == [["i-1"], "busy", "update"]


def test_without_cluster_and_group_there_is_nothing_to_drain(aws):
    assert teardown.drain(aws, TARGET, print, patience=5) == "0 ECS tasks stopped"


def test_what_terraform_leaves_is_swept_and_nothing_of_others(aws):
    logs, ecs, ec2 = aws.client("logs"), aws.client("ecs"), aws.client("ec2")
    for name in ("airflow-winbatch-dev-Task", "/winbatch/dev/ber", "/winbatch/prod/ber", "airflow-winbatch-dev2-Task"):
        logs.create_log_group(logGroupName=name)
    for family in ("winbatch-dev-ber", "winbatch-prod-ber"):
        container = {"name": "c", "image": "i", "memory": 512}
        ecs.register_task_definition(family=family, containerDefinitions=[container])
    specification = [{"ResourceType": "vpc", "Tags": PAIRS}]
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", TagSpecifications=specification)["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    ec2.create_network_interface(SubnetId=subnet)
    swept = teardown.sweep(aws, TARGET)
    assert [line.rsplit(" ", 1)[0] for line in swept] == ["log group"] * 2 + ["network interface", "task definition"]
    assert {group["logGroupName"] for group in logs.describe_log_groups()["logGroups"]} == {
        "/winbatch/prod/ber",
        "airflow-winbatch-dev2-Task",
    }
    assert ecs.list_task_definitions(familyPrefix="winbatch-prod-ber")["taskDefinitionArns"]
    ec2.delete_subnet(SubnetId=subnet)
    assert teardown.sweep(aws, TARGET) == []


def test_what_carries_our_tags_is_listed_but_for_what_is_on_its_way_out(aws):
    kms, s3 = aws.client("kms"), bucket(aws, "ours")
    keys = [{"TagKey": key, "TagValue": value} for key, value in TAGS.items()]
    key = kms.create_key(Tags=keys)["KeyMetadata"]["KeyId"]
    s3.put_bucket_tagging(Bucket="ours", Tagging={"TagSet": PAIRS})
    bucket(aws, "theirs").put_bucket_tagging(
        Bucket="theirs", Tagging={"TagSet": [{"Key": "root", "Value": "winbatch"}]}
    )
    left = teardown.left(aws, TARGET)
    assert len(left) == 2
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert teardown.left(aws, TARGET) == ["arn:aws:s3:::ours"]


def test_every_job_that_has_not_ended_is_marked_failed():
    marked = []
    runs = [{"dag_id": "ber", "dag_run_id": "r1"}, {"dag_id": "files", "dag_run_id": "r2"}]
    airflow = SimpleNamespace(unfinished=lambda: runs, mark_failed=lambda *arguments: marked.append(arguments))
    assert teardown.stop_jobs(airflow) == 2
    assert [arguments[:2] for arguments in marked] == [("ber", "r1"), ("files", "r2")]


def test_an_airflow_that_does_not_answer_goes_with_the_rest():
    def refuse():
        raise AirflowError("no", 503)

    assert teardown.stop_jobs(SimpleNamespace(unfinished=refuse)) == 0


def test_destroy_lists_what_is_left_and_ends_badly(aws, tmp_path):
    bucket(aws, "ours").put_bucket_tagging(Bucket="ours", Tagging={"TagSet": PAIRS})
    bucket(aws, "state")
    settings = SimpleNamespace(environment="dev", state=tmp_path, backend={"bucket": "state"}.get)
    (tmp_path / "terraform").mkdir()
    destroyed = []
    terraform = SimpleNamespace(destroy=lambda **options: destroyed.append(options))
    workspace = SimpleNamespace(settings=settings, aws=aws, values=dict, terraform=terraform, var_files=[])
    with pytest.raises(
        OperatorError, match=r"1 things of environment dev are left: arn:aws:s3:::ours; call invoke down"
    ):
        lifecycle.destroy(workspace, Steps(), confirm=False, delete_data=True)
    assert len(destroyed) == 1

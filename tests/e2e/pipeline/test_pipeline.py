"""The verbs of the pipeline in its order, as workflows call them."""

import errno
import json
import os
import re
import subprocess

import pytest

from scripts.dag_releases.store import Releases
from tests.e2e.operators import INVOKE
from tests.e2e.pipeline.conftest import commit, git, last
from tests.e2e.world import NAME
from tests.waiting import PATIENCE, wait_until_empty

pytestmark = pytest.mark.slow


def replace(file, old, new):
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def served(pipeline):
    """The release that Airflow is told to serve."""
    status = pipeline.world.status
    return Releases(pipeline.world.client("s3"), status["dags_bucket"], "dags").served().release


def group(pipeline):
    found = pipeline.world.client("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])
    return found["AutoScalingGroups"][0]


def check_whole(pipeline, release):
    """A release's task definitions are active, and the registry has their images."""
    status = pipeline.world.status
    releases = Releases(pipeline.world.client("s3"), status["dags_bucket"], "dags")
    pinned = releases.load(release).workloads
    assert "ber" in pinned
    for workload in pinned.values():
        described = pipeline.world.client("ecs").describe_task_definition(taskDefinition=workload["task_definition"])
        assert described["taskDefinition"]["status"] == "ACTIVE"
        (container,) = described["taskDefinition"]["containerDefinitions"]
        assert container["image"] == workload["image"]
        repository, _, digest = workload["image"].partition("/")[2].partition("@")
        image = {"repositoryName": repository, "imageIds": [{"imageDigest": digest}]}
        assert pipeline.world.client("ecr").batch_get_image(**image)["failures"] == []


def test_a_change_goes_from_its_plan_to_production(pipeline):
    first = served(pipeline)
    assert [entry["release"] for entry in pipeline.operator.json("dags.list")["releases"] if entry["served"]] == [first]
    replace(
        pipeline.root / "terraform" / "environments" / "local.tfvars",
        "max_instances      = 6",
        "max_instances      = 5",
    )
    replace(pipeline.root / "dags" / "jobs" / "ber.yaml", "\ntitle: ", "\ntitle: The second - ")
    made_of = commit(pipeline.root, "The second")

    # The pull request: a plan that a person can decide on.
    pipeline.make("plan", "OUT=build/sealed.plan", "SEAL=yes", "MARKDOWN=build/plan.md")
    comment = (pipeline.root / "build" / "plan.md").read_text()
    assert "aws_autoscaling_group" in comment
    assert made_of in comment
    saved = (pipeline.root / "build" / "sealed.plan").read_bytes()
    assert saved.startswith(b"winbatch sealed")
    assert b"winbatch-local" not in saved.split(b"\n", 2)[2]
    assert group(pipeline)["MaxSize"] == 6

    # The merge: exactly that plan, images, the release, a small job.
    pipeline.make("deploy", "PLAN=build/sealed.plan", "SMOKE=no")
    pipeline.make("images.push")
    assert group(pipeline)["MaxSize"] == 5
    assert served(pipeline) != first

    # A deployment that is called again goes on behind what was applied.
    assert "was applied before" in pipeline.make("deploy", "PLAN=build/sealed.plan", "SMOKE=no").stderr

    # The schedule: nothing, then something behind Terraform's back, then that mended.
    pipeline.make("drift")
    pipeline.world.client("autoscaling").update_auto_scaling_group(AutoScalingGroupName=NAME, MaxSize=4)
    found = pipeline.make("drift", succeeds=False)
    assert found.returncode == 2
    assert "aws_autoscaling_group" in found.stdout
    assert group(pipeline)["MaxSize"] == 4
    pipeline.make("deploy", "SMOKE=no")
    assert group(pipeline)["MaxSize"] == 5

    # Somebody has applied since, and then there is another commit: refused before Terraform is started.
    assert "stale" in pipeline.make("deploy", "PLAN=build/sealed.plan", "SMOKE=no", succeeds=False).stderr
    (pipeline.root / "docs" / "more.md").write_text("more")
    commit(pipeline.root, "The third")
    assert made_of[:12] in pipeline.make("deploy", "PLAN=build/sealed.plan", "SMOKE=no", succeeds=False).stderr


def test_what_cannot_be_deployed_is_refused_in_a_line_and_changes_nothing(pipeline):
    before = served(pipeline)
    dag = pipeline.root / "dags" / "batch.py"
    job = pipeline.root / "dags" / "jobs" / "files.yaml"
    requirements = pipeline.root / "terraform" / "modules" / "airflow" / "requirements.txt"
    for file, text, verb, line in (
        (
            dag,
            "import nowhere\n",
            "dags.release",
            r"dags/batch\.py:\d+ does not import: ModuleNotFoundError.*nothing was",
        ),
        (
            job,
            "  - {name: more, workload: ber, run: 'ber.aggregate:run', inputs: [digest], prefix: results_prefix}\n",
            "dags.release",
            r"job files runs workload ber, whose role does not know it: invoke up",
        ),
        (
            requirements,
            "apache-airflow==2.0\n",
            "up",
            r"requirements\.txt:\d+: apache-airflow==2\.0 conflicts with apache-airflow==3\.",
        ),
    ):
        kept = file.read_text()
        file.write_text(kept + text)
        said = pipeline.operator.refused(verb)
        file.write_text(kept)
        assert re.search(line, said)
        assert served(pipeline) == before
    assert served(pipeline) == before


READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'


def read_only(pipeline, *words, environ=None):
    """Call a command in a checkout that cannot be written, be it by root: it is mounted so, for that call alone."""
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    return subprocess.run(
        [*alone, "sh", "-c", READ_ONLY, str(pipeline.root), *words],
        env=environ or pipeline.operator.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )


@pytest.fixture
def frozen(pipeline):
    """Whether this machine can make the checkout one that cannot be written."""
    probe = read_only(pipeline, "touch", "probe")
    if "unshare" in probe.stderr or "mount:" in probe.stderr:
        return False
    assert os.strerror(errno.EROFS) in probe.stderr
    return True


def test_an_up_again_has_nothing_to_do_but_the_small_job_that_was_left_out(pipeline, frozen):
    """A checkout that is read-only will do."""
    before, known = served(pipeline), {run["run_id"] for run in pipeline.operator.json("status")["runs"]}
    words = [INVOKE, "up", "--json"]
    done = read_only(pipeline, *words) if frozen else pipeline.operator.call(*words[1:])
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["changes"], said["released"]) == (0, 0)
    (job,) = [run for run in pipeline.operator.json("status")["runs"] if run["run_id"] not in known]
    assert job["state"] == "succeeded"
    assert served(pipeline) == before


def test_a_release_whose_smoke_job_fails_gives_way_to_the_one_before(pipeline):
    before = served(pipeline)
    replace(
        pipeline.root / "images" / "ber" / "ber" / "simulate.py",
        ') -> dict[str, Any]:\n    """Simulate an item.',
        ') -> dict[str, Any]:\n    raise ArithmeticError(params)\n    """Simulate an item.',
    )
    commit(pipeline.root, "A defect")
    pipeline.make("deploy", "SMOKE=no")
    defect = served(pipeline)
    assert defect != before
    failed = last(pipeline.make("smoke", succeeds=False))
    assert re.match(r"error: the smoke job ber-\S+ failed: .*ArithmeticError.*: invoke dags.rollback$", failed), failed
    pipeline.make("dags.rollback")
    assert served(pipeline) == before
    dags = json.dumps(pipeline.world.airflow("GET", "/dags/ber"))
    assert (before in dags, defect in dags) == (True, False)
    check_whole(pipeline, before)
    wait_until_empty(pipeline.world.left)
    git(pipeline.root, "revert", "--no-edit", "HEAD")


@pytest.fixture
def other(pipeline):
    """The values of a second environment in that account, reached as AWS is: by AWS's own variables and credentials."""
    head = git(pipeline.root, "rev-parse", "HEAD")
    folder = pipeline.root / "terraform" / "environments"
    for name in ("tfvars", "s3.tfbackend"):
        text = (folder / f"local.{name}").read_text().replace('"local"', '"other"').replace("-local-", "-other-")
        (folder / f"other.{name}").write_text(text)
    yield folder / "other.tfvars"
    git(pipeline.root, "reset", "-q", "--hard", head)
    git(pipeline.root, "clean", "-fdq", str(folder))


def allow(values, account):
    replace(values, "aws_provider = {", f'aws_provider = {{\n  allowed_account_ids = ["{account}"]')


def refused(pipeline, *words):
    address = pipeline.world.status["endpoint_url"]
    keys = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "x"}
    aws = {"AWS_ENDPOINT_URL": address, "HTTP_PROXY": address, **keys}
    return pipeline.operator.refused(*words, "--env", "other", **aws)


def test_the_wrong_account_is_refused_before_anything_is_asked_of_it(pipeline, other):
    allow(other, "210987654321")
    for words in (["up", "--yes"], ["plan"], ["apply", "--plan", "x"], ["down", "--yes"]):
        line = refused(pipeline, *words)
        assert re.search(r"are for account 123456789012, and environment other lives in 210987654321 .*log in", line)


def test_of_two_at_once_the_second_is_told_who_the_first_is(pipeline, other):
    allow(other, "123456789012")
    commit(pipeline.root, "Another environment")
    s3, bucket = pipeline.world.client("s3"), "winbatch-other-tfstate"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    key = {"Bucket": bucket, "Key": "winbatch.tfstate.tflock"}
    lock = {"ID": "1-2", "Who": "ann@laptop", "Created": "2026-11-24 19:00", "Operation": "OperationTypeApply"}
    s3.put_object(**key, Body=json.dumps(lock))
    for words in (["up", "--yes"], ["plan"], ["down", "--yes"]):
        line = refused(pipeline, *words)
        assert "locked by ann@laptop since 2026-11-24 19:00" in line
        assert line.endswith("if it is gone for good: invoke unlock --env other --id 1-2")
    assert "that lock is gone, and there is another one" in refused(pipeline, "unlock", "--id", "9", "--yes")
    assert json.load(s3.get_object(**key)["Body"]) == lock


def test_a_checkout_that_cannot_be_written_will_do(pipeline, frozen):
    if not frozen:
        pytest.skip("no mounts of one's own on this machine")
    with (pipeline.root / "dags" / "jobs" / "ber.yaml").open("a") as file:
        file.write("# Another release\n")
    before = served(pipeline)
    # Plans, applies, checks and releases; a test above has run a job so and looked at it.
    done = read_only(pipeline, INVOKE, "up", "--no-smoke")
    assert done.returncode == 0, done.stderr
    assert served(pipeline) != before
    # What has no other place to be written to ends in a line.
    done_one = next(run for run in pipeline.operator.json("status")["runs"] if run["state"] == "succeeded")
    for words, environ in (
        (["results", "--run-id", done_one["run_id"]], pipeline.operator.environ),
        (["up"], {name: value for name, value in pipeline.operator.environ.items() if name != "WINBATCH_STATE"}),
    ):
        done = read_only(pipeline, INVOKE, *words, environ=environ)
        assert done.returncode == 1, words
        assert "Traceback" not in done.stderr
        assert re.fullmatch(r"error: /\S+ is on a read-only file system: name folders .*", done.stderr.splitlines()[-1])
    assert git(pipeline.root, "status", "--porcelain") == "M dags/jobs/ber.yaml"

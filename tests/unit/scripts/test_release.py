import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

import scripts.release
from scripts import dag_ids, releasing
from scripts.checks import static
from scripts.errors import CheckFailed, ReleaseError
from scripts.release import DEPLOYMENT, HISTORY, KEPT, SERVING, Entry, Release, Releases, before, collect, kept, serving
from winbatch import release as runtime
from winbatch import spec
from winbatch.errors import SpecError
from winbatch.times import format_time

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
PINNED = {"workloads": {"ber": {"task_definition": "arn:aws:ecs:x:1:task-definition/ber:1", "image": "i@sha256:1"}}}
NAMES = st.sampled_from("abcd")


def release(**files):
    contents = {f"{name}.py": text.encode() for name, text in files.items()}
    return Release({**contents, DEPLOYMENT: json.dumps(PINNED).encode()})


def job_file(dag, workload, *others):
    stages = "".join(f"  - {{name: s{number}, run: m:f, workload: {name}}}\n" for number, name in enumerate(others))
    return f"dag: {dag}\nworkload: {workload}\nstages:\n  - {{name: s, run: m:f}}\n{stages}".encode()


def pinned(jobs, **dags):
    """A release with these jobs, pinned to workloads whose roles know these DAGs; None: their roles are older."""
    entries = {
        name: {"task_definition": "t", "image": "i", **({} if known is None else {"dags": known})}
        for name, known in dags.items()
    }
    files = {f"jobs/{dag}.yaml": job_file(dag, *workloads) for dag, workloads in jobs.items()}
    return Release({**files, DEPLOYMENT: json.dumps({"workloads": entries}).encode()})


def history(*names):
    """Switches an hour apart; the last one an hour before noon."""
    return [Entry(name, format_time(NOON - timedelta(hours=len(names) - number))) for number, name in enumerate(names)]


def test_a_job_file_that_is_wrong_is_named_before_anything_is_asked(tmp_path):
    (tmp_path / "jobs").mkdir()
    bad = tmp_path / "jobs" / "demo.yaml"
    for name, text in {"demo.yaml": "dag: demo\ndag: demo\n", "demo.yml": "dag: demo\n"}.items():
        (tmp_path / "jobs" / name).write_text(text)
        with pytest.raises(SpecError) as caught:
            releasing.release(SimpleNamespace(settings=SimpleNamespace(dags=tmp_path)), None, None)
        with pytest.raises(CheckFailed) as found:
            static.check_jobs(SimpleNamespace(dags=tmp_path))
        assert str(found.value) == str(caught.value)
        if name == bad.name:
            with pytest.raises(SpecError) as asked:
                spec.load("demo", tmp_path / "jobs")
            assert str(asked.value) == str(caught.value)
            assert "\njobs/demo.yaml:2: 'dag' is given twice" in str(caught.value)
        else:
            assert "\njobs/demo.yml is no job" in str(caught.value)


def test_an_id_is_made_of_names_contents_and_what_it_is_pinned_to():
    one = release(a="1")
    assert one.id == Release(dict(one.files), "later", "other").id
    others = [release(a="2"), release(b="1"), release(a="1", b=""), Release({**one.files, DEPLOYMENT: b"{}"})]
    assert len({one.id, *(other.id for other in others)}) == 5


def test_a_release_holds_no_caches_tests_hidden_or_terraforms_files(tmp_path):
    for name in (
        "batch.py",
        ".airflowignore",
        "deployment.json",
        "winbatch/__init__.py",
        "winbatch/__pycache__/x.cpython-312.pyc",
        "tests/test_x.py",
        "winbatch/.mypy_cache/x.json",
        "jobs/ber.yaml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert sorted(collect(tmp_path)) == ["batch.py", "jobs/ber.yaml", "winbatch/__init__.py"]


@given(st.lists(NAMES, min_size=1, max_size=8), st.integers(0, 10))
def test_what_is_served_what_was_before_and_what_a_job_may_have_begun_with_stays(names, hours):
    entries = history(*names)
    stays = kept(entries, NOON - timedelta(hours=hours))
    assert entries[-1].release in stays
    assert len(stays) >= min(KEPT, len(set(names)))
    # Each moment from then on: whatever was served at it.
    for minute in range(0, hours * 60, 30):
        moment = NOON - timedelta(minutes=minute)
        served = [entry.release for entry in entries if datetime.fromisoformat(entry.at) <= moment]
        assert not served or served[-1] in stays


@pytest.mark.parametrize(
    ("names", "expected"), [("", None), ("a", None), ("ab", "a"), ("aba", None), ("abcb", "a"), ("abc", "b")]
)
def test_rolling_back_twice_goes_back_twice(names, expected):
    assert before(history(*names)) == expected


@pytest.fixture
def bucket():
    with mock_aws():
        s3 = boto3.client("s3", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        s3.create_bucket(Bucket="dags", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        s3.put_object(Bucket="dags", Key="dags/deployment.json", Body=b"{}")
        s3.put_object(Bucket="dags", Key="requirements.txt", Body=b"")
        yield s3


def keys(s3, prefix="dags/"):
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket="dags", Prefix=prefix).get("Contents", [])}


def test_releasing_serving_again_and_falling_back(bucket):
    releases = Releases(bucket, "dags", "dags")
    one, two = release(a="1"), release(a="2")
    done = releases.serve(one, None)
    assert done.dags == one.dags
    assert (done.release, done.previous, done.uploaded) == (one.id, "", 3)
    assert releases.serve(one, None).changes == 0
    assert releases.serve(two, None).previous == one.id
    assert (releases.served().release, releases.served().previous) == (two.id, one.id)
    assert [entry.release for entry in releases.history()] == [one.id, two.id]
    again = releases.load(one.id)
    assert (again.id, again.files) == (one.id, one.files)
    assert releases.serve(again, None).changes == 1
    assert [entry.release for entry in releases.history()] == [one.id, two.id, one.id]
    assert "dags/deployment.json" in keys(bucket)


def test_new_files_are_up_before_the_switch_and_old_ones_go_after_it(bucket):
    order = []
    bucket.meta.events.register("before-call.s3", lambda model, params, **_: order.append((model.name, params["url"])))
    releases = Releases(bucket, "dags", "dags")
    one, between, two = release(a="1"), release(a="between"), release(a="2")
    releases.serve(one, None)
    releases.serve(between, None)
    past = [vars(entry) for entry in history(one.id, between.id)]
    bucket.put_object(Bucket="dags", Key=HISTORY, Body=json.dumps(past).encode())
    order.clear()
    releases.serve(two, None)
    names = [(name, url.partition("/dags/")[2]) for name, url in order if name in {"PutObject", "DeleteObject"}]
    switch = names.index(("PutObject", SERVING))
    assert names.index(("PutObject", f"releases/{two.id}/a.py")) < switch
    assert names.index(("PutObject", f"releases/{two.id}/release.json")) == switch - 3
    # A folder on its way out loses its manifest first, so that no process takes the rest for whole.
    assert names[-4:-3] == [("PutObject", "")]
    assert names[-3:] == [
        ("DeleteObject", f"releases/{one.id}/{file}") for file in ("release.json", "a.py", DEPLOYMENT)
    ]
    assert switch < len(names) - 3


def test_a_release_that_a_job_may_have_begun_with_stays_until_it_has_ended(bucket):
    releases = Releases(bucket, "dags", "dags")
    made = [release(a=str(number)) for number in range(5)]
    for one in made:
        releases.serve(one, None)
    past = [vars(entry) for entry in history(*(one.id for one in made))]
    bucket.put_object(Bucket="dags", Key=HISTORY, Body=json.dumps(past).encode())
    removed = releases.serve(made[4], NOON - timedelta(hours=3, minutes=30)).removed
    assert set(removed) == {made[0].id}
    assert set(releases.serve(made[4], None).removed) == {made[1].id, made[2].id}
    # What has left the prefix can be served again all the same.
    assert releases.serve(releases.load(made[0].id), None).uploaded == 3


def test_a_workload_has_the_dags_of_the_checkout_and_of_each_release_that_a_job_may_have_begun_with(bucket, tmp_path):
    for name in ("ber", "ber-octave"):
        (tmp_path / "jobs").mkdir(exist_ok=True)
        (tmp_path / "jobs" / f"{name}.yaml").write_bytes((spec.JOBS / f"{name}.yaml").read_bytes())
    outputs = {}
    workspace = SimpleNamespace(
        settings=SimpleNamespace(dags=tmp_path),
        aws=SimpleNamespace(client=lambda _: bucket),
        values=lambda: outputs,
    )
    ours = {"ber": ["ber", "ber-octave"], "ber-octave": ["ber-octave"]}
    assert releasing.workload_dags(workspace) == ours
    releases = Releases(bucket, "dags", "dags")
    releases.serve(pinned({"old": ("gone", "ber"), "ber": ("ber",)}, ber=None), None)
    outputs |= {"dags_bucket": "deleted", "deployment": {"dags_prefix": "dags"}}
    assert releasing.workload_dags(workspace) == ours
    outputs["dags_bucket"] = "dags"
    served = {"ber": ["ber", "ber-octave", "old"], "ber-octave": ["ber-octave"], "gone": ["old"]}
    assert releasing.workload_dags(workspace) == served
    # What cannot be read any more is in nobody's way.
    broken = {**pinned({"new": ("ber",)}).files, "jobs/ill.yaml": b"dag: [", "jobs/none.yaml": b"- x\n"}
    releases.serve(Release(broken), None)
    assert releasing.workload_dags(workspace) == {**served, "ber": ["ber", "ber-octave", "new", "old"]}


@pytest.mark.parametrize(
    ("made", "roles", "said"),
    [
        (pinned({"new": ("ber",)}, ber=["ber"]), {"ber": ["ber"]}, "job new runs workload ber, whose role does not"),
        (pinned({"ber": ("ber", "w")}, ber=["ber"], w=[]), {"ber": ["ber"], "w": []}, "job ber runs workload w, "),
        (pinned({"ber": ("ber", "w")}, ber=["ber"], w=["ber"]), {"ber": ["ber"]}, "job ber runs workload w, "),
        (pinned({"ber": ("ber",)}, ber=["ber"]), {"ber": ["ber"]}, None),
        # Its task definitions have the role that knows every DAG; its workload is not there yet, as planning says.
        (pinned({"old": ("ber",)}, ber=None), {"ber": ["ber"]}, None),
        (pinned({"new": ("soon",)}, ber=["ber"]), {"ber": ["ber"]}, None),
    ],
)
def test_a_release_whose_jobs_their_roles_do_not_know_is_refused(made, roles, said):
    found = releasing.unknown(made, pinned({}, **roles).files[DEPLOYMENT])
    assert found is None if said is None else found.startswith(said)


def test_of_two_releases_at_once_the_second_is_told(bucket):
    class Slow(Releases):
        def _upload(self, made, progress):
            Releases(bucket, "dags", "dags").serve(release(a="other"), None)
            return super()._upload(made, progress)

    with pytest.raises(ReleaseError, match=r"somebody else has released meanwhile .* invoke dags.list, and call again"):
        Slow(bucket, "dags", "dags").serve(release(a="mine"), None)
    releases = Releases(bucket, "dags", "dags")
    assert releases.served().release == release(a="other").id
    assert releases.serve(release(a="mine"), None).release == release(a="mine").id


def test_what_somebody_else_changed_in_the_bucket_is_mended(bucket):
    releases, one = Releases(bucket, "dags", "dags"), release(a="1")
    releases.serve(one, None)
    bucket.put_object(Bucket="dags", Key=f"dags/releases/{one.id}/a.py", Body=b"2")
    bucket.put_object(Bucket="dags", Key=f"dags/{SERVING}", Body=b"broken")
    assert releases.serve(one, None).uploaded == 1
    assert bucket.get_object(Bucket="dags", Key=f"dags/releases/{one.id}/a.py")["Body"].read() == b"1"
    assert releases.served().release == one.id


@pytest.mark.parametrize("calls", range(10))
def test_a_release_that_is_cut_off_anywhere_is_ended_by_the_next_call(bucket, calls):
    releases, one, two = Releases(bucket, "dags", "dags"), release(a="1"), release(a="2", b="2")
    releases.serve(one, None)
    left = iter(range(calls))

    def cut(**_):
        if next(left, None) is None:
            raise KeyboardInterrupt

    bucket.meta.events.register("before-call.s3.PutObject", cut, "cut")
    try:
        releases.serve(two, None)
    except KeyboardInterrupt:
        assert releases.served().release in {one.id, two.id}
    bucket.meta.events.unregister("before-call.s3.PutObject", cut, "cut")
    releases.serve(two, None)
    assert releases.served().release == two.id
    assert [entry.release for entry in releases.history()] == [one.id, two.id]
    assert releases.serve(two, None).changes == 0


STRANGERS = {
    "dags/team.py": b"from airflow.sdk import DAG",
    "dags/team/jobs/x.yaml": b"x",
    "dags/releases/README": b"ours?",
    "dags/releases/other/x.py": b"x",
    "dags/jobs/": b"",
}


def put(s3, contents):
    for key, body in contents.items():
        s3.put_object(Bucket="dags", Key=key, Body=body)


def contents(s3, names):
    return {key: s3.get_object(Bucket="dags", Key=key)["Body"].read() for key in names}


def put_as_before(s3, *made, listed=True):
    """What releases looked like in the bucket before they listed their files ahead: the last one is served."""
    for one in made:
        tags = {}
        for path, body in {**one.files, "release.json": json.dumps(one.manifest).encode()}.items():
            key = f"dags/releases/{one.id}/{path}"
            tags[path] = s3.put_object(Bucket="dags", Key=key, Body=body)["ETag"]
        if listed:
            put(s3, {f"releases/{one.id}.json": json.dumps(tags).encode()})
    if listed:
        previous = made[-2].id if len(made) > 1 else ""
        put(s3, {"dags/.airflowignore": b"releases/\n", f"dags/{SERVING}": serving(made[-1].id, previous).encode()})
        put(s3, {HISTORY: json.dumps([vars(entry) for entry in history(*(one.id for one in made))]).encode()})


def test_a_release_touches_what_it_made_and_nothing_else(bucket):
    put(bucket, STRANGERS)
    releases = Releases(bucket, "dags", "dags")
    made = [release(a=str(number)) for number in range(4)]
    for one in made:
        releases.serve(one, None)
        bucket.put_object(Bucket="dags", Key=f"dags/releases/{one.id}/notes.txt", Body=b"somebody's")
    put(bucket, {HISTORY: json.dumps([vars(entry) for entry in history(*(one.id for one in made))]).encode()})
    assert releases.serve(made[-1], None).removed == sorted([made[0].id, made[1].id])
    assert contents(bucket, STRANGERS) == STRANGERS
    left = keys(bucket, f"dags/releases/{made[0].id}/")
    assert left == {f"dags/releases/{made[0].id}/notes.txt"}, "what a release did not make stays in its folder, too"
    theirs = {key for key in STRANGERS if not key.endswith("/")}
    assert set(releases.strangers()) == theirs | {f"dags/releases/{one.id}/notes.txt" for one in made}


def test_without_strangers_none_is_named(bucket):
    releases = Releases(bucket, "dags", "dags")
    assert releases.strangers() == []
    releases.serve(release(a="1"), None)
    releases.serve(release(a="2"), None)
    assert releases.strangers() == []


def test_what_the_release_before_this_one_made_is_ours(bucket):
    made = [release(a=str(number)) for number in range(3)]
    put_as_before(bucket, *made)
    put(bucket, STRANGERS)
    releases = Releases(bucket, "dags", "dags")
    assert set(releases.strangers()) == {key for key in STRANGERS if not key.endswith("/")}
    assert releases.serve(made[-1], None).changes == 1
    assert keys(bucket, f"dags/releases/{made[0].id}/") == set()
    assert releases.serve(release(a="new"), None).previous == made[-1].id
    assert contents(bucket, STRANGERS) == STRANGERS


def test_an_upload_that_was_cut_off_before_uploads_were_listed_is_taken_up(bucket):
    one = release(a="1")
    put_as_before(bucket, one, listed=False)
    releases = Releases(bucket, "dags", "dags")
    assert f"dags/releases/{one.id}/a.py" in releases.strangers()
    releases.serve(one, None)
    assert releases.strangers() == []


@pytest.mark.parametrize(
    ("key", "body", "words"),
    [
        (f"dags/{SERVING}", b"import team", f"dags/dags/{SERVING} is not of a release.*give it another name"),
        ("dags/.airflowignore", b"team/\n# releases/\n", "dags/dags/.airflowignore .* add the line releases/ to it"),
        (
            f"dags/releases/{release(a='1').id}/a.py",
            b"2",
            f"dags/dags/releases/{release(a='1').id}/a.py: not of a release, .* remove it",
        ),
    ],
)
def test_a_stranger_that_a_release_would_write_over_is_named_and_nothing_changes(bucket, key, body, words):
    put(bucket, {**STRANGERS, key: body})
    before = contents(bucket, keys(bucket, ""))
    with pytest.raises(ReleaseError, match=words):
        Releases(bucket, "dags", "dags").serve(release(a="1"), None)
    assert contents(bucket, keys(bucket, "")) == before
    assert key in Releases(bucket, "dags", "dags").strangers()


def test_an_ignore_file_of_somebody_elses_stays_when_it_has_our_line(bucket):
    theirs = b"team/drafts/\r\n releases/ \r\n"
    put(bucket, {"dags/.airflowignore": theirs})
    releases = Releases(bucket, "dags", "dags")
    releases.serve(release(a="1"), None)
    assert contents(bucket, ["dags/.airflowignore"]) == {"dags/.airflowignore": theirs}
    assert releases.strangers() == ["dags/.airflowignore"]


def test_a_release_that_is_being_uploaded_is_left_alone_until_it_was_given_up(bucket, monkeypatch):
    """Of two people at once, the one who has switched removes what nobody needs."""

    class Slow(Releases):
        def _switch(self, text, now):
            Releases(bucket, "dags", "dags").serve(release(a="other"), None)
            super()._switch(text, now)

    mine = release(a="mine")
    with pytest.raises(ReleaseError, match="somebody else has released meanwhile"):
        Slow(bucket, "dags", "dags").serve(mine, None)
    assert f"dags/releases/{mine.id}/a.py" in keys(bucket)
    monkeypatch.setattr(scripts.release, "UPLOAD_SECONDS", -1.0)
    assert Releases(bucket, "dags", "dags").serve(release(a="other"), None).removed == [mine.id]


def test_what_somebody_removed_of_a_release_before_it_was_switched_to_comes_back(bucket):
    one, two = release(a="1"), release(a="2")
    Releases(bucket, "dags", "dags").serve(one, None)

    class Unlucky(Releases):
        def _switch(self, text, now):
            bucket.delete_object(Bucket="dags", Key=f"dags/releases/{two.id}/a.py")
            super()._switch(text, now)

    Unlucky(bucket, "dags", "dags").serve(two, None)
    assert f"dags/releases/{two.id}/a.py" in keys(bucket)


def test_an_unknown_release_names_the_known_ones(bucket):
    releases = Releases(bucket, "dags", "dags")
    with pytest.raises(ReleaseError, match="unknown release 'x'; there are none"):
        releases.load("x")
    releases.serve(release(a="1"), None)
    with pytest.raises(ReleaseError, match=f"there are {release(a='1').id}"):
        releases.load("x")


def test_without_a_deployment_nothing_can_be_released(bucket):
    bucket.delete_object(Bucket="dags", Key="dags/deployment.json")
    with pytest.raises(ReleaseError, match="Terraform writes it: invoke up"):
        Releases(bucket, "dags", "dags").deployment()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from airflow.sdk import DAG\nwith DAG('a', schedule=None): pass\nx = DAG(dag_id='b')", {"a", "b"}),
        ("import airflow.sdk as sdk\n@sdk.dag()\ndef a(): pass\n@sdk.dag('b')\ndef c(): pass", {"a", "b", "c"}),
        ("@dag\ndef a(): pass", {"a"}),
        ("DAG(name); DAG(f'{x}'); DAG(); DAG(1); other('a'); DAG(description='a')", set()),
        ("def (", set()),
        ("\0", set()),
        ("DAG('a'); x = '\\d'", {"a"}),
        ("(" * 500 + ")" * 500, set()),
        ("# -*- coding: nothing -*-", set()),
    ],
)
def test_the_ids_that_a_file_gives_in_so_many_words_are_known(source, expected):
    assert dag_ids.of(source.encode()) == expected


@pytest.mark.parametrize("key", ["dags/team.py", "dags/deep/er/team.py"])
def test_a_dag_of_ours_in_somebody_elses_file_is_named_and_nothing_changes(bucket, key):
    theirs = b"from airflow.sdk import DAG\nDAG('ber')\n"
    hidden = "dags/releases/other/team.py"  # from Airflow, by our .airflowignore
    put(
        bucket,
        {
            key: theirs,
            hidden: theirs,
            "dags/fine.py": b"from airflow.sdk import DAG\nDAG('fine')\n",
            "dags/notes.txt": theirs,
        },
    )
    before = contents(bucket, keys(bucket, ""))
    made = Release({**release(a="1").files, "jobs/ber.yaml": b"", "jobs/x/fine.yaml": b""})
    releases = Releases(bucket, "dags", "dags")
    with pytest.raises(ReleaseError, match=f"dags/{key} is not of a release, and defines ber, too: give that DAG"):
        releases.serve(made, None)
    assert contents(bucket, keys(bucket, "")) == before
    bucket.delete_object(Bucket="dags", Key=key)
    assert releases.serve(made, None).release == made.id


def test_a_release_whose_task_definition_or_image_is_gone_is_not_served_again():
    with mock_aws():
        options = {"region_name": "eu-central-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        ecs, ecr = boto3.client("ecs", **options), boto3.client("ecr", **options)
        container = {"name": "c", "image": "i", "memory": 512}
        made = ecs.register_task_definition(family="ber", containerDefinitions=[container])["taskDefinition"]
        ecr.create_repository(repositoryName="winbatch-dev/ber")
        registry = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/winbatch-dev/ber"
        pinned = {"ber": {"task_definition": made["taskDefinitionArn"], "image": f"{registry}@sha256:{'0' * 64}"}}
        assert "the image of workload ber" in releasing.missing(pinned, ecs, ecr)
        pinned["ber"]["image"] = "elsewhere/ber@sha256:1"
        assert releasing.missing(pinned, ecs, ecr) is None
        ecs.deregister_task_definition(taskDefinition=made["taskDefinitionArn"])
        assert "its task definition ber:1 is gone" in releasing.missing(pinned, ecs, ecr)


# --- What Airflow runs: serve.py, by an interpreter that has nothing of Airflow's but a class called DAG.

STUB = "class DAG:\n    def __init__(self, name):\n        self.name = name\n"
SEE = """
import runpy, sys
for turn in range(int(sys.argv[2])):
    made = runpy.run_path(sys.argv[1])
    print(sorted(value.name for value in made.values() if type(value).__name__ == "DAG"))
"""


def write(folder, made, *, without=()):
    for path, content in {**made.files, "release.json": json.dumps(made.manifest).encode()}.items():
        if path not in without:
            (folder / "releases" / made.id / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / "releases" / made.id / path).write_bytes(content)


def served(folder, turns=1):
    (folder / "stub" / "airflow").mkdir(parents=True, exist_ok=True)
    (folder / "stub" / "airflow" / "__init__.py").touch()
    (folder / "stub" / "airflow" / "sdk.py").write_text(STUB)
    command = [sys.executable, "-B", "-c", SEE, str(folder / SERVING), str(turns)]
    environ = {"PYTHONPATH": str(folder / "stub")}
    return subprocess.run(command, env=environ, cwd=folder, capture_output=True, text=True, check=False)


def dags(text):
    """A release whose DAG is called by two modules of it."""
    return Release(
        {
            "batch.py": (
                f"from airflow.sdk import DAG\nfrom winbatch import name\none = DAG('{text} ' + name.NAME)\n".encode()
            ),
            "winbatch/__init__.py": b"",
            "winbatch/name.py": f"NAME = '{text}'\n".encode(),
            DEPLOYMENT: json.dumps(PINNED).encode(),
        }
    )


@pytest.mark.parametrize("missing", ["winbatch/name.py", "batch.py", "release.json", DEPLOYMENT])
def test_a_folder_that_is_half_synced_serves_the_release_before_and_never_a_mixture(tmp_path, missing):
    old, new = dags("old"), dags("new")
    write(tmp_path, old)
    write(tmp_path, new, without=[missing])
    (tmp_path / SERVING).write_text(serving(new.id, old.id))
    assert served(tmp_path).stdout == "['old old']\n"
    write(tmp_path, new)
    assert served(tmp_path, turns=2).stdout == "['new new']\n['new new']\n"


def test_a_file_that_is_cut_off_is_no_file(tmp_path):
    old, new = dags("old"), dags("new")
    write(tmp_path, old)
    write(tmp_path, new)
    (tmp_path / "releases" / new.id / "winbatch" / "name.py").write_bytes(b"NAME =")
    (tmp_path / SERVING).write_text(serving(new.id, old.id))
    assert served(tmp_path).stdout == "['old old']\n"


def test_without_any_whole_release_the_dags_wait_for_the_next_sync(tmp_path):
    new = dags("new")
    (tmp_path / SERVING).write_text(serving(new.id, ""))
    assert "is not wholly here yet" in served(tmp_path).stderr.splitlines()[-1]


USE = """
import sys
sys.path.insert(0, sys.argv[1])
from winbatch import release
print(release.current())
release.use(sys.argv[2])
from winbatch import name
print(name.NAME)
"""


@pytest.mark.parametrize(("pinned", "expected"), [("old", "old"), ("gone", "new"), ("", "new")])
def test_a_job_goes_on_with_the_release_that_it_began_with_as_long_as_it_is_there(tmp_path, pinned, expected):
    code = Path(runtime.__file__).read_bytes()
    made = {text: Release({**dags(text).files, "winbatch/release.py": code}) for text in ("old", "new")}
    for one in made.values():
        write(tmp_path, one)
    name = made[pinned].id if pinned in made else pinned
    folder = tmp_path / "releases" / made["new"].id
    command = [sys.executable, "-B", "-c", USE, str(folder), name]
    done = subprocess.run(command, env={}, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [made["new"].id, expected]


def test_code_outside_a_release_belongs_to_none():
    assert runtime.current() == ""

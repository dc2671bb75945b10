import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from scripts.release import FOREIGN, RECORD, Released, collect, plan, release

PATHS = st.sampled_from(["a.py", "b.py", "lib/x.py", "lib/y.py", "jobs/a.yaml", "deployment.json"])
OURS = PATHS.filter(lambda path: path not in FOREIGN)
HASHES = st.sampled_from(["1", "2"])


@given(
    st.dictionaries(OURS, HASHES),
    st.dictionaries(PATHS, HASHES),
    st.dictionaries(OURS, st.builds(Released, HASHES, HASHES)),
)
def test_a_plan_makes_the_bucket_what_the_folder_is(local, remote, record):
    todo = plan(local, remote, record)
    # Carry it out: every upload gives the object the local content.
    content = {
        path: record[path].sha256 if path in record and record[path].etag == etag else "?"
        for path, etag in remote.items()
    }
    content |= {path: local[path] for path in todo.upload}
    for path in todo.delete:
        del content[path]
    assert {path: value for path, value in content.items() if path not in FOREIGN} == local
    assert ("deployment.json" in remote) == ("deployment.json" in content)
    assert todo.unchanged == len(local) - len(todo.upload)


@given(st.dictionaries(OURS, HASHES))
def test_nothing_is_done_twice(local):
    remote = {path: f"etag-{sha}" for path, sha in local.items()}
    record = {path: Released(sha, f"etag-{sha}") for path, sha in local.items()}
    assert plan(local, remote, record).changes == 0


def test_what_is_imported_goes_up_before_what_imports_it_and_goes_last():
    local = dict.fromkeys(["batch.py", "jobs/ber.yaml", "winbatch/__init__.py", "winbatch/dag.py"], "1")
    up = plan(local, {}, {}).upload
    assert up == ["winbatch/__init__.py", "winbatch/dag.py", "jobs/ber.yaml", "batch.py"]
    assert plan({}, dict.fromkeys(local, "1"), {}).delete == up[::-1]


def test_a_release_holds_no_caches_tests_or_hidden_files(tmp_path):
    for name in (
        "batch.py",
        ".airflowignore",
        ".hidden",
        "deployment.json",
        "winbatch/__init__.py",
        "winbatch/__pycache__/x.cpython-312.pyc",
        "tests/test_x.py",
        "winbatch/.mypy_cache/x.json",
        "jobs/ber.yaml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert sorted(collect(tmp_path)) == [".airflowignore", "batch.py", "jobs/ber.yaml", "winbatch/__init__.py"]


@pytest.fixture
def s3():
    with mock_aws():
        client = boto3.client("s3", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        client.create_bucket(Bucket="dags", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


def keys(s3):
    return sorted(entry["Key"] for entry in s3.list_objects_v2(Bucket="dags").get("Contents", []))


def test_releasing_brings_the_bucket_along(s3, tmp_path):
    (tmp_path / "lib").mkdir()
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "lib" / "b.py").write_text("2")
    s3.put_object(Bucket="dags", Key="dags/deployment.json", Body=b"{}")
    s3.put_object(Bucket="dags", Key="requirements.txt", Body=b"")

    assert release(s3, "dags", "dags", tmp_path).changes == 2
    assert keys(s3) == ["dags/a.py", "dags/deployment.json", "dags/lib/b.py", RECORD, "requirements.txt"]
    assert release(s3, "dags", "dags", tmp_path).changes == 0

    (tmp_path / "a.py").write_text("3")
    (tmp_path / "lib" / "b.py").unlink()
    done = release(s3, "dags", "dags", tmp_path)
    assert (done.upload, done.delete) == (["a.py"], ["lib/b.py"])
    assert keys(s3) == ["dags/a.py", "dags/deployment.json", RECORD, "requirements.txt"]


def test_what_somebody_else_changed_in_the_bucket_is_mended(s3, tmp_path):
    (tmp_path / "a.py").write_text("1")
    release(s3, "dags", "dags", tmp_path)
    s3.put_object(Bucket="dags", Key="dags/a.py", Body=b"else")
    s3.put_object(Bucket="dags", Key="dags/stray.py", Body=b"")
    done = release(s3, "dags", "dags", tmp_path)
    assert (done.upload, done.delete) == (["a.py"], ["stray.py"])
    assert s3.get_object(Bucket="dags", Key="dags/a.py")["Body"].read() == b"1"


def test_a_record_that_does_not_parse_costs_one_upload(s3, tmp_path):
    (tmp_path / "a.py").write_text("1")
    s3.put_object(Bucket="dags", Key=RECORD, Body=b"half-writ")
    assert release(s3, "dags", "dags", tmp_path).changes == 1
    assert release(s3, "dags", "dags", tmp_path).changes == 0

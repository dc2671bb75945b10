"""What is sent and fetched of a person's files, on moto's S3."""

import os

import boto3
import pytest
from moto import mock_aws

from scripts.core.errors import SettingsError
from scripts.jobs import transfers

BUCKET = "data"


@pytest.fixture
def s3():
    with mock_aws():
        client = boto3.client("s3", "eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        yield client


@pytest.fixture
def folder(tmp_path):
    """Files as people have them: empty, with a space and an umlaut, in folders, in several parts."""
    made = tmp_path / "deals"
    (made / "a b" / "ü").mkdir(parents=True)
    (made / "empty.csv").touch()
    (made / "a b" / "ü" / "one.csv").write_text("1")
    (made / "large.bin").write_bytes(os.urandom(9_000_000))
    return made


NAMES = {"empty.csv", "a b/ü/one.csv", "large.bin"}


def said(_text):
    """Nobody looks at the progress."""


def keys(s3):
    return {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])}


def test_what_is_sent_comes_back_as_it_was(s3, folder, tmp_path):
    told = []
    done = transfers.upload(s3, BUCKET, folder, "/sim/deals/", told.append)
    assert (done.moved, done.same, done.size) == (3, 0, 9_000_001)
    assert keys(s3) == {f"sim/deals/{name}" for name in NAMES}
    assert told[-1] == "3 of 3 files, 9.0 of 9.0 MB"
    back = tmp_path / "back"
    done = transfers.download(s3, BUCKET, "sim/deals", back, said)
    assert (done.moved, done.same) == (3, 0)
    assert {path.relative_to(back).as_posix() for path in back.rglob("*") if path.is_file()} == NAMES
    for name in NAMES:
        assert (back / name).read_bytes() == (folder / name).read_bytes()


def test_only_what_differs_is_sent_also_where_size_and_time_are_the_same(s3, folder):
    transfers.upload(s3, BUCKET, folder, "sim/deals", said)
    assert transfers.upload(s3, BUCKET, folder, "sim/deals", said).moved == 0
    one = folder / "a b" / "ü" / "one.csv"
    before = one.stat()
    one.write_text("2")
    os.utime(one, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = transfers.upload(s3, BUCKET, folder, "sim/deals", said)
    assert (done.moved, done.same) == (1, 2)
    assert s3.get_object(Bucket=BUCKET, Key="sim/deals/a b/ü/one.csv")["Body"].read() == b"2"


def test_only_what_differs_is_fetched_whoever_sent_it(s3, folder, tmp_path):
    transfers.upload(s3, BUCKET, folder, "sim", said)
    s3.put_object(Bucket=BUCKET, Key="sim/by-hand.csv", Body=b"3")
    s3.put_object(Bucket=BUCKET, Key="sim/page/", Body=b"")  # a folder of the S3 page
    back = tmp_path / "back"
    assert transfers.download(s3, BUCKET, "sim", back, said).moved == 4
    assert transfers.download(s3, BUCKET, "sim", back, said).moved == 0
    (back / "by-hand.csv").write_text("4")
    (back / "large.bin").write_bytes(b"cut off")
    (back / "own.txt").write_text("stays")
    done = transfers.download(s3, BUCKET, "sim", back, said)
    assert (done.moved, done.same) == (2, 2)
    assert (back / "by-hand.csv").read_text() == "3"
    assert (back / "own.txt").read_text() == "stays"


@pytest.mark.parametrize("prefix", ["", "/", "..", "a/../b", "jobs", "jobs/ber", "con", "a//b", "a\\b", "c:/x"])
def test_a_prefix_that_is_no_ones_or_the_platforms_is_refused(s3, folder, prefix):
    with pytest.raises(SettingsError):
        transfers.upload(s3, BUCKET, folder, prefix, said)
    assert keys(s3) == set()


@pytest.mark.posix("Windows makes no such files")
@pytest.mark.parametrize("name", ["con.txt", "a:b", "end.", "Large.bin"])
def test_what_no_item_on_windows_could_have_is_named_and_nothing_is_sent(s3, folder, name):
    (folder / name).touch()
    with pytest.raises(SettingsError, match=r"nothing was sent: of .*deals"):
        transfers.upload(s3, BUCKET, folder, "sim", said)
    assert keys(s3) == set()


def test_a_link_that_leads_out_is_refused_and_one_that_stays_is_its_file(s3, folder, tmp_path):
    (folder / "inside").symlink_to(folder / "empty.csv")
    assert transfers.upload(s3, BUCKET, folder, "sim", said).moved == 4
    (tmp_path / "secret").write_text("x")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(SettingsError, match=r"link leads out of .*deals"):
        transfers.upload(s3, BUCKET, folder, "sim", said)


@pytest.mark.parametrize("key", ["sim/../x", "sim//x", "sim/./x", "sim/a\\..\\x", "sim/by/below"])
def test_an_object_that_would_leave_the_folder_is_named_and_nothing_is_fetched(s3, tmp_path, key):
    s3.put_object(Bucket=BUCKET, Key="sim/by", Body=b"1")
    s3.put_object(Bucket=BUCKET, Key=key, Body=b"1")
    with pytest.raises(SettingsError, match=r"nothing was fetched: of s3://data/sim/, "):
        transfers.download(s3, BUCKET, "sim", tmp_path / "back", said)
    assert not (tmp_path / "back").exists()
    assert not (tmp_path / "x").exists()


def test_what_is_not_there_is_said(s3, tmp_path):
    with pytest.raises(SettingsError, match="no object lies below s3://data/sim/"):
        transfers.download(s3, BUCKET, "sim", tmp_path, said)
    with pytest.raises(SettingsError, match="holds no file"):
        transfers.upload(s3, BUCKET, tmp_path, "sim", said)
    with pytest.raises(SettingsError, match="is no folder"):
        transfers.upload(s3, BUCKET, tmp_path / "none", "sim", said)


def test_one_that_fails_is_told_and_the_next_call_goes_on(s3, folder, monkeypatch):
    real = s3.put_object

    def put(**given):
        if given["Key"].endswith("one.csv"):
            raise s3.exceptions.ClientError({"Error": {"Code": "SlowDown", "Message": "x"}}, "PutObject")
        return real(**given)

    monkeypatch.setattr(s3, "put_object", put)
    with pytest.raises(s3.exceptions.ClientError):
        transfers.upload(s3, BUCKET, folder, "sim", said)
    monkeypatch.undo()
    assert transfers.upload(s3, BUCKET, folder, "sim", said).moved >= 1
    assert keys(s3) == {f"sim/{name}" for name in NAMES}

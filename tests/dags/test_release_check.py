"""A release is parsed by the environment's Airflow before it is uploaded, and refused in a line."""

import os

import pytest

from scripts.core.errors import ReleaseError
from scripts.core.settings import ROOT, Settings
from scripts.dag_releases.parsing import check
from scripts.dag_releases.store import DEPLOYMENT, Release, collect

pytestmark = pytest.mark.slow

CALLS = b"""import socket
from airflow.sdk import DAG
try:
    socket.socket().connect(("127.0.0.1", 9))
except OSError:
    pass
with DAG("calls"):
    pass
"""


@pytest.fixture
def settings(tmp_path):
    cache = os.environ.get("WINBATCH_CACHE", str(ROOT / ".cache"))
    return Settings.load("local", environ={"WINBATCH_STATE": str(tmp_path), "WINBATCH_CACHE": cache})


def release(**files):
    return Release({**collect(ROOT / "dags"), **files, DEPLOYMENT: b'{"workloads": {}}'})


def test_our_own_release_passes_as_it_is_served(settings):
    made = release()
    found = check(settings, made, lambda text: None)
    assert set(found.dags) == {path.stem for path in (ROOT / "dags" / "jobs").glob("*.yaml")}
    assert found.tried == []


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        (
            "batch.py",
            b"import airflow\nfrom winbatch import nothing # dag\n",
            r"dags/batch\.py:2 does not import: Import",
        ),
        ("calls.py", CALLS, r"parsing the DAGs calls \('127\.0\.0\.1', 9\): .*nothing was released"),
    ],
)
def test_a_dag_that_does_not_import_or_calls_somebody_is_refused(settings, name, content, line):
    with pytest.raises(ReleaseError, match=line) as caught:
        check(settings, release(**{name: content}), lambda text: None)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("nothing was released")

"""DAGs parsed by the environment's Airflow, apart from everything else, exactly as they would be released.

An interpreter of that Airflow imports it and parses a DAG of one Airflow task, which brings in what Airflow imports
late; then the release is timed. Each connection that is tried meanwhile is noted.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.core.errors import ReleaseError
from scripts.core.settings import Settings
from scripts.dag_releases import store
from scripts.tools import airflow
from winbatch.release import MANIFEST

TIMEOUT = 120.0
_TRIVIAL = """
from airflow.sdk import DAG, Param, get_current_context, task
import airflow.exceptions

with DAG("trivial", schedule=None, params={"n": Param(1, type="integer")}):

    @task
    def first():
        pass

    first().as_setup() >> task.sensor(task_id="second", mode="reschedule")(lambda: True)()
"""
_PARSE = """
import json, socket, sys, time

tried = []
real = socket.socket.connect

def connect(self, address):
    tried.append(str(address))
    return real(self, address)

socket.socket.connect = connect

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow 3.0
    from airflow.models.dagbag import DagBag

trivial = DagBag(sys.argv[1], safe_mode=True)
started = time.perf_counter()
bag = DagBag(sys.argv[2], safe_mode=True)
seconds = time.perf_counter() - started
errors = {**trivial.import_errors, **bag.import_errors}
dags = {dag.dag_id: sorted(dag.tags) for dag in bag.dags.values()}
print("REPORT" + json.dumps({"seconds": seconds, "tried": tried, "dags": dags, "errors": errors}))
"""


@dataclass(frozen=True)
class Parsed:
    """What came of parsing a release.

    Attributes:
        seconds: that it took, beyond importing Airflow.
        tried: connections that it tried, an address each.
        dags: the DAGs' ids, sorted.
    """

    seconds: float
    tried: Sequence[str]
    dags: Sequence[str]


def check(settings: Settings, made: store.Release, progress: Callable[[str], None]) -> Parsed:
    """Parse a release that is to be served.

    Raises:
        ReleaseError: a DAG does not import, there is none, or parsing calls somebody.
    """
    found = parse(settings, made, progress)
    if found.tried:
        raise ReleaseError(
            f"parsing the DAGs calls {found.tried[0]}: Airflow parses them all the time, so move that into an Airflow"
            " task; nothing was released"
        )
    if not found.dags:
        raise ReleaseError(f"there is no DAG in {settings.dags}; nothing was released")
    return found


def parse(settings: Settings, made: store.Release, progress: Callable[[str], None]) -> Parsed:
    """Parse a release as Airflow would.

    Raises:
        ReleaseError: a DAG does not import.
    """
    airflow.install(settings, progress, version=settings.airflow_version)
    python = _python(settings)
    progress("Airflow parses it")
    with tempfile.TemporaryDirectory() as home:
        return _parse(python, made, Path(home))


def _parse(python: Path, made: store.Release, home: Path) -> Parsed:
    dags, trivial = home / "dags", home / "trivial"
    _write(dags / store.ARCHIVE / made.id, {**made.files, MANIFEST: json.dumps(made.manifest).encode()})
    _write(dags, {store.SERVING: store.serving(made.id, "").encode(), store.IGNORE: store.IGNORED.encode()})
    _write(trivial, {"trivial.py": _TRIVIAL.encode()})
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        # Airflow does not start for a user without a name.
        "LOGNAME": "airflow",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    subprocess.run([python, "-m", "compileall", "-q", str(dags)], env=environ, check=False, capture_output=True)
    try:
        done = subprocess.run(
            [python, "-c", _PARSE, str(trivial), str(dags)],
            env=environ,
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        raise ReleaseError(f"Airflow does not parse the DAGs within {TIMEOUT:.0f} s; nothing was released") from None
    lines = [line for line in done.stdout.splitlines() if line.startswith("REPORT")]
    if done.returncode != 0 or len(lines) != 1:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ReleaseError(f"Airflow cannot parse the DAGs: {last}; nothing was released")
    report = json.loads(lines[0].removeprefix("REPORT"))
    for trace in report["errors"].values():
        raise ReleaseError(f"{_reason(trace, dags / store.ARCHIVE / made.id)}; mend it, nothing was released")
    return Parsed(report["seconds"], report["tried"], sorted(report["dags"]))


def _reason(trace: str, folder: Path) -> str:
    """A traceback as a line: the last place in the release, and the last words, which may be of several."""
    written = [line for line in trace.splitlines() if line.strip()]
    frames = [number for number, line in enumerate(written) if line.startswith(" ")]
    said = "; ".join(written[frames[-1] + 1 :] if frames else written[-1:])
    lines = [line.strip() for line in written]
    places = [line for line in lines if line.startswith("File ") and str(folder) in line]
    words = said or "no reason was given"
    if not places:
        return f"the DAGs do not import: {words}"
    file, line, *_ = places[-1].removeprefix("File ").split(", ")
    name = Path(file.strip('"')).relative_to(folder).as_posix()
    return f"dags/{name}:{line.removeprefix('line ')} does not import: {words}"


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _python(settings: Settings) -> Path:
    """The interpreter of the Airflow environment; names with a second dash are those with a user's requirements."""
    found = [
        path
        for path in settings.cache.glob(f"airflow/{settings.airflow_version}-*/python/bin/python")
        if path.parents[2].name.count("-") == 1
    ]
    if not found:
        raise ReleaseError(f"Airflow {settings.airflow_version} is not in {settings.cache}: invoke setup")
    return max(found, key=lambda path: path.stat().st_mtime)

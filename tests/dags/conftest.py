import os
from pathlib import Path
from threading import Event

import pytest

from emulator.mwaa import versions
from emulator.mwaa.commands import Runner
from emulator.mwaa.environment_builder import install
from emulator.processes import Supervisor

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=versions.SUPPORTED)
def airflow_python(request):
    """The interpreter of an Airflow environment that the local MWAA uses."""
    cache = Path(os.environ.get("WINBATCH_CACHE", ROOT / ".cache"))
    processes = Supervisor()
    try:
        return install(request.param, cache, Runner(processes, Event()), print).python / "bin" / "python"
    finally:
        processes.stop_all()

"""What whoever tests as root does not see, as CI does: a slice of the suite as an ordinary user."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from emulator.mwaa import database
from scripts.core.settings import ROOT

# No account has it on most machines, as in a container that is started with a user's number.
USER = 1001
SLICE = (
    "tests/unit/emulator/test_configuration.py",
    "tests/unit/emulator/test_processes.py",
    "tests/unit/scripts/cli/test_command_line.py::test_without_an_up_status_is_down_and_down_is_harmless",
    "tests/contract/test_ecs_tasks.py::test_a_program_runs_with_its_environment_and_its_output_is_logged",
)
# PostgreSQL may not keep what lets the rest read a checkout that is closed to others.
DATABASE = "tests/contract/test_mwaa_processes.py::"
DATABASE += "test_the_database_runs_in_a_closed_folder_and_keeps_its_data_when_copied"


@pytest.mark.skipif(os.geteuid() != 0, reason="root only: everybody else runs the whole suite as an ordinary user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv (util-linux) is missing")
def test_an_ordinary_users_tests_pass():
    """Nothing of root's but the right to read, with a closed umask, the plainest locale and no home."""
    folder = Path(tempfile.mkdtemp(prefix="winbatch-user-"))
    os.chown(folder, USER, USER)
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    user += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    closed = ["sh", "-c", 'umask 077; exec "$@"', "sh"]
    environ = {
        "PATH": os.environ["PATH"],
        "LANG": "C",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path.startswith(str(ROOT))),
        "TMPDIR": str(folder),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
        "WINBATCH_CACHE": str(folder / "cache"),
    }
    tests = [*SLICE, *([DATABASE] if _is_open(Path(database.__file__)) and _is_open(Path(pytest.__file__)) else [])]
    words = ["-q", "-p", "no:cacheprovider", "--basetemp", str(folder / "tests"), *tests]
    try:
        done = subprocess.run(
            [*user, *closed, sys.executable, "-m", "pytest", *words],
            cwd=ROOT,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def _is_open(file: Path) -> bool:
    """Whether everybody may go to the folder of a file."""
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in file.resolve().parents)

import subprocess
import sys
from pathlib import Path

from emulator.mwaa import configuration


def test_who_runs_airflow_has_a_name_whoever_it_is(tmp_path):
    """Airflow asks getpass, which knows no name of a user without an account, and does not start then."""
    environ = configuration.base(Path(sys.prefix)) | {"HOME": str(tmp_path)}
    said = subprocess.run(
        [sys.executable, "-c", "import getpass; print(getpass.getuser())"],
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout == "airflow\n"

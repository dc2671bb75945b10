import subprocess
import sys

import pytest

from emulator.__main__ import main
from scripts.core.settings import ROOT


@pytest.mark.parametrize(
    "words",
    [
        *(["--port", word] for word in ("", "x", "-1", "65536", "9" * 5000, "1.5")),
        *(["--port", "1", "--account", word] for word in ("", "abc", "1" * 11, "\uff11" * 12)),
        *(["--port", "1", "--instance-seconds", word] for word in ("", "x", "-1", "nan", "inf", "1e9")),
        ["--nothing"],
        [],
    ],
    ids=lambda words: " ".join(words)[-20:],
)
def test_what_cannot_be_served_is_a_usage_error(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--state", "/nonexistent", "--cache", "/nonexistent", *words])
    assert ended.value.code == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def test_a_variable_is_held_to_the_same_rule(monkeypatch, capsys):
    monkeypatch.setenv("EMULATOR_TERMINATE_SECONDS", "soon")
    with pytest.raises(SystemExit) as ended:
        main(["serve", "--port", "1", "--state", "/nonexistent", "--cache", "/nonexistent"])
    assert ended.value.code == 2
    assert "--terminate-seconds" in capsys.readouterr().err.splitlines()[-1]


def test_a_folder_that_cannot_be_made_is_one_line():
    words = ["serve", "--port", "0", "--state", "/dev/null/x", "--cache", "/dev/null/x"]
    done = subprocess.run(
        [sys.executable, "-m", "emulator", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert done.stderr.splitlines()[-1].startswith("emulator: ")
    assert "/dev/null/x" in done.stderr


@pytest.mark.parametrize("module", ["emulator.mwaa.environment_builder", "emulator.ecs.windows.installation"])
def test_what_is_made_ahead_waits_for_none_of_the_services(module):
    """Each release asks for Airflow's interpreter, and moto takes longer to import than to find that it is there."""
    program = f"import sys, {module}; sys.exit(bool({{'moto', 'botocore'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0

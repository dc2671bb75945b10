"""Standard streams as shells leave them: closed, unread, full, of another encoding."""

import subprocess
import sys

import pytest

from scripts.core.settings import ROOT

# What a command does with its streams, without all that it imports.
SPEAKER = """
import sys
from scripts.core.console import OutputClosed, console, emit, prepare_streams
prepare_streams()
console.print("✓ seen")
try:
    emit({"state": "down"})
except OutputClosed:
    sys.exit(141)
"""


@pytest.fixture
def shell(tmp_path):
    """Runs a line of bash that may call `invoke` and `speak`: exit code of its first command, both outputs."""

    def run(line, **variables):
        environ = {"PATH": "/usr/bin:/bin", "WINBATCH_STATE": str(tmp_path / "state"), **variables}
        (tmp_path / "speaker.py").write_text(SPEAKER)
        script = (
            f'invoke() {{ "{sys.executable}" -m invoke "$@"; }}\n'
            f'speak() {{ "{sys.executable}" "{tmp_path}/speaker.py"; }}\n'
            f'{line}\nexit "${{PIPESTATUS[0]}}"\n'
        )
        environ["PYTHONPATH"] = str(ROOT)
        done = subprocess.run(["bash", "-c", script], cwd=ROOT, env=environ, capture_output=True, check=False)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


def test_a_reader_that_goes_away_ends_a_command_without_a_word(shell):
    assert shell("invoke status --json | true") == (141, "", "")
    assert shell("invoke --list | true") == (0, "", "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_progress_that_nobody_sees_ends_nothing(shell, unbuffered):
    assert shell("speak 2>&1 >/dev/null | true", PYTHONUNBUFFERED=unbuffered) == (0, "", "")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_is_one_that_nobody_reads(shell, closed):
    code, out, err = shell(f"speak {closed}")
    assert code == 0
    assert out == ("" if " >&-" in f" {closed}" else '{\n  "state": "down"\n}\n')
    assert err == ("" if "2>&-" in closed else "✓ seen\n")


def test_a_verb_works_with_every_stream_closed(shell):
    assert shell("invoke status --json <&- >&- 2>&-") == (0, "", "")


def test_what_cannot_be_written_is_told(shell):
    code, _, err = shell("invoke status --json >/dev/full")
    assert (code, err.count("\n")) == (1, 1)
    assert "the disk is full" in err


@pytest.mark.parametrize("encoding", [{"LANG": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}])
def test_no_encoding_is_too_small(shell, encoding):
    code, out, err = shell("speak", **encoding)
    assert (code, out) == (0, '{\n  "state": "down"\n}\n')
    assert err in {"✓ seen\n", "\\u2713 seen\n"}


def test_words_of_no_encoding_are_told_without_a_home_or_a_terminal(shell):
    code, out, err = shell("invoke status --env $'b\\xfc'; exit $?", LANG="C")
    assert (code, out) == (1, "")
    assert err.startswith("error: unknown environment 'b")
    assert err.count("\n") == 1

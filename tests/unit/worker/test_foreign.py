"""Programs of Windows on another system, as a local image's worker starts them."""

import shutil

import pytest

from winbatch.working.limits import Limits, Watcher
from winbatch.working.programs import WINE, ProgramError, Programs

pytestmark = pytest.mark.posix("on Windows they are no strangers")


@pytest.fixture
def run(tmp_path):
    """Runs a program, with a stand-in for Wine that says its words and ends with 3; what was said, and the failure."""
    stand_in = tmp_path / "wine"
    stand_in.write_text('#!/bin/sh\nprintf "<%s>\\n" "$@"\nexit 3\n')
    stand_in.chmod(0o755)
    program = tmp_path / "bin" / "price.exe"
    program.parent.mkdir()
    program.write_bytes(b"MZ\x90 and so on")
    program.chmod(0o755)

    def run(word, *words, wine=True):
        said = []
        environment = {"PATH": str(program.parent)} | ({WINE: str(stand_in)} if wine else {})
        with pytest.raises(ProgramError) as failed:
            Programs().run(
                [word, *words],
                folder=tmp_path,
                environment=environment,
                watcher=Watcher(Limits()),
                watched=tmp_path,
                say=said.append,
            )
        return said, failed.value

    run.program = program
    return run


def test_it_runs_by_the_wine_that_the_image_names(run):
    for word in (str(run.program), "price.exe"):
        said, failed = run(word, "two words", "")
        assert said == [f"<{run.program}>", "<two words>", "<>"]
        assert (str(failed), failed.exit_code) == (f"{word} ended with exit code 3", 3)


def test_without_one_a_line_says_what_to_do(run):
    said, failed = run("price.exe", wine=False)
    assert said == []
    assert str(failed) == (
        "price.exe cannot be started: it is a program of Windows, and there is no Wine here: apt-get install wine64,"
        " then invoke up"
    )


@pytest.mark.parametrize("content", [b"neither", b"\x7fELF of something else", b"M", b""])
def test_what_is_no_program_at_all_is_not_given_to_it(run, content):
    run.program.write_bytes(content)
    said, failed = run("price.exe")
    assert said == []
    assert "cannot be started: [Errno 8] Exec format error" in str(failed)


def test_what_the_system_itself_can_run_is_not_given_to_it(run):
    run.program.unlink()
    run.program.symlink_to(shutil.which("false"))
    said, failed = run("price.exe")
    assert (said, failed.exit_code) == ([], 1)

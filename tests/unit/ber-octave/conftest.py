"""GNU Octave with the workload's scripts, as its image starts it."""

import subprocess

import pytest

from scripts.core.settings import ROOT
from scripts.tools import debian
from winbatch import spec

SCRIPTS = ROOT / "images" / "ber-octave" / "files"


@pytest.fixture(scope="session")
def command():
    """The job's own way of starting Octave, up to the script."""
    if debian.OCTAVE.find() is None:
        pytest.skip("no octave-cli on this machine: invoke setup --tests installs Debian's")
    words = spec.load("ber-octave").stages[0].command
    return list(words[: words.index("{app}/simulate.m")])


@pytest.fixture
def octave(command, tmp_path):
    """Run code beside the scripts; what it printed."""

    def octave(code):
        done = subprocess.run(
            [*command, "--path", SCRIPTS, "--eval", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.split()

    return octave


@pytest.fixture
def simulate(command, tmp_path):
    """Run simulate.m with a job's parameters; exit code and what it said."""

    def simulate(**changes):
        given = {
            "values": tmp_path / "values.json",
            "seed": 1,
            "item": 0,
            "ebn0_db": 4,
            "num_frames": 3,
            "frame_size": 4096,
            **changes,
        }
        words = [f"{name}={value}" for name, value in given.items() if value is not None]
        done = subprocess.run(
            [*command, SCRIPTS / "simulate.m", *words], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    return simulate

"""One environment for the pipeline's verbs, in a copy of the checkout that is a repository of git.

It is brought up by somebody who presses Ctrl-C at every stage, on the oldest Airflow that MWAA runs, so that a release,
its smoke job and a rollback are seen on it. Jobs on Windows images come after its update to the newest one, on which
it is taken down.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from emulator.mwaa import versions
from scripts.chaos.faults import choose_airflow
from scripts.core import checkout
from tests.e2e.operators import ROOT, Operator, keeping_provider, make_operator
from tests.e2e.pipeline import interrupting
from tests.e2e.pipeline.interrupting import Interruption
from tests.e2e.world import World
from tests.waiting import wait_until_empty

KEY = "alias/winbatch-local-tfstate"


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def commit(root: Path, message: str) -> str:
    """Commit all of it; the commit."""
    git(root, "add", "-A")
    git(root, "commit", "-qm", message)
    return git(root, "rev-parse", "HEAD")


def last(done: subprocess.CompletedProcess[str]) -> str:
    """The last line on standard error."""
    return done.stderr.splitlines()[-1]


@dataclass(frozen=True)
class Pipeline:
    """Somebody who calls the pipeline's verbs in a repository, and their environment.

    Attributes:
        operator: who calls.
        root: the repository.
        world: the environment, seen from outside.
        interruptions: what came of each Ctrl-C, by stage.
        finished: what the `up` said that went on behind all of them.
    """

    operator: Operator
    root: Path
    world: World
    interruptions: Mapping[str, Interruption]
    finished: Mapping[str, Any]

    def evidence(self) -> str:
        """What a failed test shows of it."""
        return self.operator.evidence()

    def make(self, verb: str, *variables: str, succeeds: bool = True) -> subprocess.CompletedProcess[str]:
        """A step of a workflow, with invoke called as the Makefile's recipe does."""
        recipe = subprocess.run(
            ["make", "--dry-run", "--no-print-directory", verb, *variables],
            cwd=self.root,
            env=self.operator.environ,
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        (line,) = [line for line in recipe.splitlines() if line.startswith(".venv/bin/invoke ")]
        # What the set-up fetches is there.
        words = shlex.split(line.removeprefix(".venv/bin/invoke ").removeprefix("setup "))
        shown = words.pop() if ">>" in words else ""
        done = self.operator.call(*[word for word in words if word != ">>"])
        assert (done.returncode == 0) == succeeds, done.stderr
        assert "Traceback" not in done.stderr
        # Drift is an answer and no error, with an exit code of its own.
        if done.returncode == 1:
            assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [last(done)]
        if shown:
            (self.root / shown).parent.mkdir(exist_ok=True)
            (self.root / shown).write_text(done.stdout)
        return done


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    folder = tmp_path_factory.mktemp("pipeline")
    root = folder / "checkout"
    checkout.copy(ROOT, root)
    choose_airflow(root, versions.SUPPORTED[0])
    git(root, "init", "-q", "-b", "main")
    commit(root, "The first")
    with keeping_provider(make_operator(folder / "state", root)) as operator:
        try:
            interruptions = interrupting.bring_up(operator)
            finished = operator.json("up", "--no-smoke")
            world = World.of(operator)
            kms = world.client("kms")
            kms.create_alias(AliasName=KEY, TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
            # The smoke job that was no longer followed goes on.
            wait_until_empty(world.left)
            yield Pipeline(operator, root, world, interruptions, finished)
        finally:
            down = operator.call("down")
    assert down.returncode == 0, down.stderr
    assert operator.processes() == []
    assert not (operator.state / "local").exists()

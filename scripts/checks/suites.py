"""The tests: the fast ones all together, the slow ones in groups that share what they set up."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.checks import lanes, report
from scripts.checks.context import Context
from scripts.core.errors import CheckFailed

FAST = "fast"
# pytest's exit code when it was given files in which no test was chosen: those of slow tests, say.
NOTHING = 5

# Groups of slow tests: each runs in one process, one test after another, and shares what it sets up. The longest come
# first, then such that what follows one another in a lane ends together, so that none is left alone at the end. The
# matrix of the pull requests' workflow names each.
SLOW: dict[str, tuple[str, ...]] = {
    "jobs": (
        "tests/e2e/test_platform.py",
        "tests/e2e/test_environment.py",
        "tests/e2e/test_job.py",
        "tests/e2e/test_programs.py",
        "tests/e2e/test_identity.py",
        "tests/e2e/faults",
    ),
    "pipeline": ("tests/e2e/pipeline",),
    "contract": ("tests/contract", "tests/dags", "tests/unit/ber"),
    "windows": ("tests/windows",),
    "stage": ("tests/unit/scripts/windows",),
    "root": ("tests/terraform/test_whole_root.py", "tests/terraform/test_policies.py"),
    "bootstrap": (
        "tests/terraform/test_bootstrap.py",
        "tests/terraform/test_authorization.py",
        "tests/terraform/test_existing_network.py",
    ),
    "worlds": ("tests/unit/simulation",),
    "verify": ("tests/e2e/test_verify.py",),
    "roles": ("tests/terraform/test_roles.py",),
}
# Whose files share nothing that takes long to set up: where such a group is alone, each core takes files of it.
APART = frozenset({"windows"})
# Longer than what it tells after most changes: run by who names it, and for each pull request by a machine of its own.
NAMED = frozenset({"roles", "verify"})


def record(context: Context, name: str) -> Path:
    """Where it is noted how long some tests took."""
    return context.logs / f"{name}.jsonl"


def pytest(context: Context, name: str, arguments: Sequence[str], folder: Path, *, shown: bool = False) -> None:
    """Run tests.

    Args:
        context: of the checks.
        name: what their log and their record are called by.
        arguments: of pytest.
        folder: in which they leave what they leave, which nothing outlives.
        shown: on the terminal, while they run.

    Raises:
        CheckFailed: a test failed, or something was left running; carries what they said unless it was shown.
    """
    log = context.logs / f"{name}.log"
    command = [sys.executable, "-m", "pytest", "-p", "scripts.checks.recorder", "--basetemp", str(folder / name)]
    command += ["-o", f"cache_dir={context.caches / 'pytest' / name}", *arguments]
    environ = {**context.environ, report.VARIABLE: str(record(context, name))}
    code = context.lanes.call(command, cwd=context.settings.root, environ=environ, output=None if shown else log)
    running = lanes.sweep(folder / name)
    said = "" if shown else log.read_text(encoding="utf-8", errors="replace").rstrip()
    # Only who names files of fast tests may name one that has none.
    if code != 0 and not (code == NOTHING and shown):
        raise CheckFailed(f"{said}\n{name} tests failed; their output above says which".lstrip())
    if running:
        raise CheckFailed(f"{name} tests passed and left processes, which are ended now: {'; '.join(running)}")


def fast(context: Context, folder: Path, arguments: Sequence[str] = ("tests",)) -> None:
    """Run fast tests.

    Args:
        context: of the checks.
        folder: in which they leave what they leave.
        arguments: of pytest: which.

    Raises:
        CheckFailed: a test failed.
    """
    # Some wait for processes; so there is always one that computes.
    workers = (os.cpu_count() or 1) + 1
    options = ["-m", "not slow", "-n", str(workers), "--dist", "worksteal"]
    pytest(context, FAST, [*options, *arguments], folder, shown=True)


def slow(context: Context, name: str, folder: Path, *, alone: bool = False) -> None:
    """Run a group of slow tests.

    Args:
        context: of the checks.
        name: of the group.
        folder: in which they leave what they leave.
        alone: nothing else keeps the cores busy.

    Raises:
        CheckFailed: a test failed.
    """
    # By files in the order of the tests, and not those with many tests first.
    apart = ["-n", str(os.cpu_count() or 1), "--dist", "loadfile", "--no-loadscope-reorder"]
    options = apart if alone and name in APART else []
    pytest(context, name, ["-m", "slow", *options, *SLOW[name]], folder)


def words(context: Context, name: str) -> str:
    """What came of some tests, such as `12 passed, 1 skipped`."""
    found = report.outcomes(report.read(record(context, name)))
    return ", ".join(f"{found[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped") if found[outcome])

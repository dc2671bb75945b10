"""The map from files to tests has a place for each of both, and says what is meant."""

import re
import subprocess

import pytest
import yaml

from scripts.checks import rooms, static, suites
from scripts.errors import SettingsError
from scripts.settings import ROOT

# What no check looks at.
UNJUDGED = {"LICENSE", "images/python.toml"}
TRACKED = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False, text=True).stdout.split(
    "\0"
)[:-1] or [
    str(path.relative_to(ROOT))
    for folder in ("scripts", "simulation", "dags", "emulator", "images", "terraform", "tests", "docs")
    for path in (ROOT / folder).rglob("*.py")
]
TESTS = [path for path in TRACKED if re.fullmatch(r"tests/.*/test_\w+\.py", path)]
MARK = re.compile(r"^(pytestmark = |@)pytest\.mark\.slow$", re.MULTILINE)
SLOW = [path for path in TESTS if MARK.search((ROOT / path).read_text())]


def below(path, places):
    return any(path == place or path.startswith(f"{place}/") for place in places)


def test_every_file_has_a_room():
    left = {path for path in TRACKED if not path.startswith("tests/") and rooms.room_of(path) is None}
    assert left <= UNJUDGED


def test_every_room_has_files_and_checks_that_there_are():
    used = {rooms.room_of(path) for path in TRACKED}
    for name, room in rooms.ROOMS.items():
        assert name in used
        assert set(room.parts) <= set(static.PARTS)
        assert set(room.slow) <= set(suites.SLOW)
        assert [path for path in room.fast if not (ROOT / path).exists()] == []


def test_every_fast_test_is_some_rooms():
    places = [place for room in rooms.ROOMS.values() for place in room.fast if place != "tests"]
    assert [path for path in TESTS if path not in SLOW and not below(path, places)] == []


def test_every_slow_test_is_in_one_group():
    assert len(SLOW) > 10
    for path in SLOW:
        assert len([name for name, paths in suites.SLOW.items() if below(path, paths)]) == 1, path
    for paths in suites.SLOW.values():
        assert [path for path in paths if not (ROOT / path).exists()] == []


def test_the_workflow_of_pull_requests_runs_every_check_once():
    workflow = yaml.safe_load((ROOT / ".github/workflows/pull-request.yml").read_text())
    matrices = [job["strategy"]["matrix"].get("check", []) for job in workflow["jobs"].values()]
    assert sorted(name for names in matrices for name in names) == sorted((*static.PARTS, suites.FAST, *suites.SLOW))


EVERYTHING = [name for name in suites.SLOW if name not in suites.NAMED]


@pytest.mark.parametrize(
    ("names", "parts", "fast", "slow", "advice"),
    [
        (["lint", "types"], ["lint", "types"], [], [], []),
        (["fast"], [], ["tests"], [], []),
        (["slow"], [], [], EVERYTHING, []),
        (["verify"], [], [], ["verify"], []),
        (["pipeline", "lint"], ["lint"], [], ["pipeline"], []),
        (["bench"], ["lint", "types", "imports"], ["tests/unit/bench"], [], []),
        (["scripts/bench/dags.py"], ["lint", "types", "imports"], ["tests/unit/bench"], [], []),
        (["docs/bench.md"], ["lint"], ["tests/unit/checks"], [], []),
        (
            ["terraform/modules/cluster/main.tf", "root"],
            ["lint", "terraform", "policies"],
            ["tests/terraform", "tests/unit/scripts/test_module_docs.py", "tests/unit/scripts/test_policies.py"],
            ["root"],
            ["bootstrap", "pipeline", "jobs"],
        ),
        # A test stands for itself; what it shares with others, for these.
        (["tests/unit/ber/test_theory.py"], ["lint"], ["tests/unit/ber/test_theory.py"], [], ["contract"]),
        (["tests/e2e/faults/test_faults.py"], ["lint"], ["tests/e2e/faults/test_faults.py"], [], ["jobs"]),
        (["tests/unit/winbatch/conftest.py"], ["lint"], ["tests/unit/winbatch"], [], []),
        (["tests/conftest.py", "bench"], ["lint", "types", "imports"], ["tests"], [], list(suites.SLOW)),
    ],
)
def test_a_name_means(names, parts, fast, slow, advice):
    found = rooms.select(names)
    assert [list(some) for some in (found.parts, found.fast, found.slow, found.advice)] == [parts, fast, slow, advice]


def test_no_name_means_two_things():
    names = [*static.PARTS, suites.FAST, "slow", *suites.SLOW, *rooms.ROOMS]
    assert len(names) == len(set(names))


def test_a_name_that_means_nothing_is_told_what_there_is():
    with pytest.raises(
        SettingsError, match=r"--only engin \(did you mean `engine`\?\): there are .*lint.*pipeline.*engine"
    ):
        rooms.select(["engin"])

"""A new workload, made in a copy of the checkout, passes what ours pass."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from scripts.core.errors import SettingsError
from scripts.core.settings import ROOT, Settings
from scripts.images import scaffold
from scripts.tools import debian, terraform_command
from scripts.windows import dockerfile, staging

NAME, PACKAGE = "my-work", "my_work"
KINDS = {"python": NAME, **{kind: f"my-{kind}" for kind in scaffold.KINDS if kind != "python"}}
CACHE = os.environ.get("WINBATCH_CACHE") or str(ROOT / ".cache")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    root = tmp_path_factory.mktemp("new") / "checkout"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, tracked.split("\0")):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name)
    for kind, name in KINDS.items():
        scaffold.make(Settings.load("local", environ={}, root=root), name, kind)
    return root


def tool(checkout, *words):
    """Run one of our tools in the copy, with the copy's packages before ours."""
    folders = [".", "dags", *(f"images/{path.name}" for path in (checkout / "images").iterdir() if path.is_dir())]
    environ = {
        **os.environ,
        "WINBATCH_CACHE": CACHE,
        "PYTHONPATH": os.pathsep.join(str(checkout / folder) for folder in folders),
    }
    command = [str(Path(sys.executable).parent / words[0]), *words[1:]]
    done = subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["ruff", "check", "--no-cache", "images", "tests", "scripts"],
        ["ruff", "format", "--no-cache", "--check", "images", "tests"],
        ["lint-imports", "--no-cache"],
        ["hadolint", *(f"images/{name}/Dockerfile" for name in KINDS.values())],
        ["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *(f"tests/unit/{name}" for name in KINDS.values())],
        ["mypy", "--cache-dir", os.devnull, *(f"images/{name}/{name.replace('-', '_')}" for name in KINDS.values())],
    ],
    ids=lambda words: words[0],
)
def test_it_passes_the_checks(checkout, words):
    tool(checkout, *words)


def test_every_environment_has_it_as_terraform_formats_it(checkout):
    terraform = str(terraform_command.find_terraform(Settings.load("local")))
    for file in sorted((checkout / "terraform" / "environments").glob("*.tfvars")):
        assert re.search(rf"^  {NAME} += \{{ cpu = \d+, memory = \d+ \}}$", file.read_text(), re.MULTILINE)
        done = subprocess.run([terraform, "fmt", "-check", "-diff", file], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
    assert Settings.load("local", environ={}, root=checkout).workloads.count(NAME) == 1


def test_its_image_holds_its_code_and_the_worker(checkout):
    stage = dockerfile.read(checkout / "images" / NAME / "Dockerfile")
    assert set(stage.copies) == {"python", "packages", "app"}
    names = {name for name, _ in staging.app_files(checkout, NAME)}
    assert {f"{PACKAGE}/work.py", "winbatch/worker.py"} <= names
    assert "tools" not in (checkout / "images" / NAME / "Dockerfile").read_text()


def test_the_project_says_what_it_said_and_the_workload(checkout):
    before, after = (tomllib.loads((root / "pyproject.toml").read_text()) for root in (ROOT, checkout))
    assert PACKAGE in after["tool"]["mypy"]["packages"]
    layer = after["tool"]["importlinter"]["contracts"][0]["layers"][1].split(" | ")
    assert layer[-len(KINDS) :] == [name.replace("-", "_") for name in KINDS.values()]
    assert after["project"] == before["project"]
    assert after["dependency-groups"] == before["dependency-groups"]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_job_that_starts_its_program(checkout, kind):
    name = KINDS[kind]
    job = yaml.safe_load((checkout / "dags" / "jobs" / f"{name}.yaml").read_text())
    compute, merge = job["stages"]
    assert merge["run"] == f"{name.replace('-', '_')}.work:merge"
    if kind == "python":
        assert compute["run"] == f"{PACKAGE}.work:run"
        return
    (program,) = [word for word in compute["command"] if word.startswith("{app}/")]
    file = checkout / "images" / name / "files" / program.removeprefix("{app}/")
    still = scaffold.still_to_do(Settings.load("local", environ={}, root=checkout), name, kind)
    made_by_others = kind == "dotnet" or (kind == "exe" and debian.MINGW.find() is None)
    assert file.is_file() != made_by_others
    assert bool(still) == made_by_others
    assert "@" not in still


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_to_fill_in(checkout, kind):
    """The templates' own places, in whatever was written of a workload."""
    name = KINDS[kind]
    folders = [
        checkout / "images" / name,
        checkout / "tests" / "unit" / name,
        checkout / "dags" / "jobs" / f"{name}.yaml",
    ]
    files = [path for folder in folders for path in (folder, *folder.rglob("*")) if path.is_file()]
    texts = {path.name: path.read_bytes() for path in files if path.suffix not in {".exe", ".pyc"}}
    assert [name for name, text in texts.items() if re.search(rb"@[A-Z]+@", text)] == []
    assert f"test_{name.replace('-', '_')}.py" in texts
    for path in (folder / "workload.toml" for folder in folders[:1]):
        staging.read(checkout, path.parent.name)


def test_a_kind_that_is_not_there_changes_nothing(checkout):
    with pytest.raises(SettingsError, match="kind is 'cobol'; there are python, exe, powershell, dotnet, octave"):
        scaffold.make(Settings.load("local", environ={}, root=checkout), "another", "cobol")
    assert not (checkout / "images" / "another").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Mine", "cannot be a workload's name"),
        ("m", "cannot be a workload's name"),
        ("../mine", "cannot be a workload's name"),
        ("ber", "there is a workload or a job ber already"),
        ("chain", "there is a workload or a job chain already"),
        ("con", "'con' is a device of Windows"),
        ("aux", "'aux' is a device of Windows"),
        ("com1", "'com1' is a device of Windows"),
        ("json", "is a word or a module of Python"),
        ("class", "is a word or a module of Python"),
    ],
)
def test_a_name_that_cannot_be_changes_nothing(checkout, name, words):
    before = sorted(path for path in checkout.rglob("*") if "cache" not in str(path))
    with pytest.raises(SettingsError, match=words):
        scaffold.make(Settings.load("local", environ={}, root=checkout), name)
    assert sorted(path for path in checkout.rglob("*") if "cache" not in str(path)) == before


def test_values_that_a_person_has_laid_out_stay_as_they_are():
    text = "workloads = {\n  ber = {\n    cpu    = 1024\n    memory = 2048\n  }\n}\n\nx = 1\n"
    added = "  ber = {\n    cpu    = 1024\n    memory = 2048\n  }\n  new = { cpu = 4096, memory = 6144 }\n}\n\nx = 1\n"
    assert scaffold.in_values(text, "new", "dev.tfvars") == "workloads = {\n" + added
    with pytest.raises(SettingsError, match=r"dev\.tfvars has no workloads"):
        scaffold.in_values("x = 1\n", "new", "dev.tfvars")

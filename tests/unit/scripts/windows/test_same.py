"""What is the same on Windows and on Linux: the variables, what Python finds, the bytes that code writes."""

import ast
import json
import os
import subprocess
import venv

import pytest

from scripts.core.settings import ROOT
from scripts.images import linux
from scripts.windows import dockerfile, staging

WRITERS = sorted(
    path
    for folder in ("images", "scripts/images/workload_files")
    for path in (ROOT / folder).rglob("*.py*")
    if path.name.endswith((".py", ".py.txt"))
)


def without_newline(source):
    """The lines that open a file to write text, or write a text, and leave its line ends to the system."""
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        named = {keyword.arg: keyword.value for keyword in call.keywords}
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        words = [node.value for node in (*call.args, named.get("mode")) if isinstance(node, ast.Constant)]
        modes = [word for word in words if isinstance(word, str) and set(word) <= set("rwxab+t")]
        opens = name in {"open", "fdopen", "TextIOWrapper"} and any(set(mode) & set("wxa+") for mode in modes)
        binary = any("b" in mode for mode in modes)
        if (name == "write_text" or (opens and not binary)) and "newline" not in named:
            yield call.lineno


@pytest.mark.parametrize("path", WRITERS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_line_ends_are_said(path):
    """Windows' text files end lines with CR LF unless told otherwise: the same job would leave other bytes there."""
    assert list(without_newline(path.read_text(encoding="utf-8").replace("@PACKAGE@", "package"))) == []


def test_line_ends_that_are_not_said_are_found():
    source = "p.write_text('x')\nopen(p, 'w')\np.open(mode='a')\nopen(p, 'wb')\nopen(p)\nopen(p, 'w', newline='')\n"
    assert list(without_newline(source)) == [1, 2, 3]


@pytest.mark.parametrize("name", sorted(path.parent.name for path in (ROOT / "images").glob("*/Dockerfile")))
def test_each_image_tells_python_the_same(name):
    assert linux.PYTHON.items() <= dockerfile.read(ROOT / "images" / name / "Dockerfile").environment.items()


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory):
    """An interpreter with the module that each workload's has, on Linux as on Windows."""
    folder = tmp_path_factory.mktemp("interpreter")
    venv.create(folder / "python", symlinks=os.name != "nt")
    (packages,) = (folder / "python").glob("lib/python*/site-packages")
    (packages / "sitecustomize.py").write_text(staging.SITECUSTOMIZE)
    return folder / "python" / "bin" / "python"


def found(interpreter, folder, *words):
    """Whether a program of an item finds the image's code, its neighbour, and what lies in the item's own folder."""
    names = ("a", "beside", "i")
    code = f"import importlib.util as u, json; print(json.dumps([u.find_spec(n) is not None for n in {names}]))"
    for name in ("app/a.py", "app/sub/beside.py", "item/i.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    for name in ("app/sub/main.py", "app/mod.py", "item/mod.py"):
        (folder / name).write_text(code)
    # As the worker starts it (winbatch.working.command).
    environ = {"PYTHONPATH": str(folder / "app"), "PYTHONSAFEPATH": "1"}
    words = [code if word == "CODE" else word.replace("{app}", str(folder / "app")) for word in words]
    done = subprocess.run([interpreter, *words], cwd=folder / "item", env=environ, capture_output=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["{app}/sub/main.py"], [True, True, False]),
        (["../app/sub/main.py", "x"], [True, True, False]),
        (["-m", "mod"], [True, False, False]),
        (["-c", "CODE"], [True, False, False]),
    ],
    ids=["script", "relative", "module", "code"],
)
def test_what_a_program_of_python_finds(interpreter, tmp_path, words, expected):
    """`tests/windows/test_imports.py` says the same of Windows' own Python."""
    assert found(interpreter, tmp_path, *words) == expected

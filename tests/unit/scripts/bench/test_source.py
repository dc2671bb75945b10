import ast

import pytest

from scripts.bench import source


def write(root, **files):
    for name, text in files.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def circles(root):
    return source.import_circles(source.imports(list(source.sources(root))))


def figures(root):
    return {figure.name: figure.median for figure in source.measure(root)[0]}


def test_lines_of_python_and_terraform_count_and_those_of_tests_do_not(tmp_path):
    write(tmp_path, scripts__a="x = 1\n" * 500, emulator__b="x = 1\n" * 501, tests__c="x = 1\n" * 600)
    (tmp_path / "terraform" / ".terraform").mkdir(parents=True)
    (tmp_path / "terraform" / "main.tf").write_text("locals {}\n\n")
    (tmp_path / "terraform" / ".terraform" / "other.tf").write_text("locals {}\n")
    (tmp_path / "terraform" / "README.md").write_text("Words.\n")
    assert figures(tmp_path) == {
        "code.source_lines": 1003,
        "code.files_above_500": 1,
        "code.import_circles": 0,
        "code.public_without_docstring": 0,
    }
    assert source.measure(tmp_path)[1]["files_above_500"] == {"emulator/b.py": 501}


@pytest.mark.parametrize(
    "back",
    [
        "from scripts.one import two",
        "import scripts.one.two",
        "from scripts.one.two import x",
        "def f():\n    from scripts.one import two",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from scripts.one import two",
        "from .one import two",
        "from .one.two import x",
    ],
)
def test_a_circle_is_one_wherever_the_import_stands(tmp_path, back):
    write(tmp_path, scripts__one____init__="", scripts__one__two="from scripts import three", scripts__three=back)
    assert circles(tmp_path) == [["scripts.one.two", "scripts.three"]]


def test_folders_above_a_package_are_no_part_of_its_name(tmp_path):
    write(tmp_path, dags__w__a="import w.b", dags__w__b="import w.a")
    write(tmp_path, images__ber__ber__a="from ber import b", images__ber__ber__b="from ber import a")
    assert circles(tmp_path) == [["ber.a", "ber.b"], ["w.a", "w.b"]]


def test_who_is_imported_from_a_circle_is_not_in_it(tmp_path):
    write(tmp_path, scripts__a="from scripts import b, d", scripts__b="from scripts import c", scripts__d="import os")
    write(tmp_path, scripts__c="from scripts import a, d", scripts__e="from scripts import a, e")
    assert circles(tmp_path) == [["scripts.a", "scripts.b", "scripts.c"]]


def test_what_is_public_and_says_nothing_is_named():
    text = """
def said():
    '''Say.'''
    def inner(): ...
def bare(): ...
async def later(): ...
def _own(): ...
class Thing:
    '''A thing.'''
    def __init__(self): ...
    def method(self): ...
class _Own:
    def method(self): ...
"""
    assert source.without_docstring(ast.parse(text)) == ["bare", "later", "Thing.method"]

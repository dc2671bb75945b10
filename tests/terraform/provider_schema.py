"""What version 6 of the AWS provider knows, for the types that this code uses, as a package on PyPI carries it.

The registry cannot be asked everywhere, and the provider is 700 MB. `cdktf-cdktf-provider-aws` is generated from its
schema: a module a type, with a class of arguments for the type and one for each of its blocks. What is taken from it
stands in `provider_6.json`; to make it anew, and whenever a type is used for the first time:

    pip download --no-deps cdktf-cdktf-provider-aws
    python -m tests.terraform.provider_schema cdktf_cdktf_provider_aws-*.whl
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("provider_6.json")
PACKAGE = "cdktf_cdktf_provider_aws"
# What Terraform itself adds to each resource, and to each block of one.
META = {"count", "depends_on", "for_each", "lifecycle", "provider", "provisioners", "connection", "precondition"}
# Where the parser notes lines.
_HIDDEN = re.compile(r"^__")
# An attribute of a resource or a data source.
_READ = re.compile(r"(?<![\w.])((?:data\.)?aws_\w+)\.\w+(?:\[[^\]]*\])?\.(\w+)")

Schema = dict[str, Any]


def sources() -> list[Path]:
    """The files of both roots and their modules."""
    folder = ROOT / "terraform"
    return [file for file in sorted(folder.rglob("*.tf")) if not {".terraform", "tests"} & set(file.parts)]


def used(text: str) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Kind (`data.` before a data source's), name and body of each resource and data source in a file's text."""
    document = hcl2.loads(text)
    for part, prefix in (("resource", ""), ("data", "data.")):
        for block in document.get(part, ()):
            for kind, named in block.items():
                for name, body in named.items():
                    yield prefix + kind.strip('"'), name.strip('"'), body


def given(body: Mapping[str, Any]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    """Arguments and blocks of a body: the name, and what each block of it holds; dynamic blocks by their content."""
    for name, value in body.items():
        if name == "dynamic":
            for block in value:
                for label, dynamic in block.items():
                    yield label.strip('"'), dynamic["content"]
        elif not _HIDDEN.match(name):
            blocks = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
            yield name, blocks


def distil(wheel: Path, kinds: set[str]) -> Schema:
    """The schema of some kinds, from the package.

    Returns:
        By kind: `arguments` (to null, or for a block to its own arguments and what it requires), `required`, and
        `attributes`, which can be read.
    """
    with zipfile.ZipFile(wheel) as package:
        texts = {kind: package.read(f"{PACKAGE}/{_module(kind)}/__init__.py").decode() for kind in sorted(kinds)}
    return {kind: read(text) for kind, text in texts.items()}


def _module(kind: str) -> str:
    data, _, name = kind.rpartition("data.")
    return ("data_aws_" if data or kind.startswith("data.") else "") + name.removeprefix("aws_")


def read(text: str) -> Schema:
    """A type's schema from its module's text."""
    classes = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.ClassDef)}
    (main,) = (name for name in classes if f"{name}Config" in classes)
    return _arguments(f"{main}Config", classes) | {"attributes": sorted(_properties(classes[main]))}


def _arguments(name: str, classes: Mapping[str, ast.ClassDef]) -> Schema:
    (init,) = (node for node in classes[name].body if isinstance(node, ast.FunctionDef) and node.name == "__init__")
    arguments: Schema = {}
    required = []
    for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
        if argument.arg in META:
            continue
        annotation = ast.unparse(argument.annotation) if argument.annotation else ""
        block = next((word for word in re.findall(r"\w+", annotation) if word in classes), None)
        arguments[argument.arg] = _arguments(block, classes) if block else None
        if default is None:
            required.append(argument.arg)
    return {"arguments": arguments, "required": required}


def _properties(node: ast.ClassDef) -> Iterator[str]:
    """What can be read of a type; the generator's own names for what was given are left out."""
    for one in node.body:
        marks = [ast.unparse(mark) for mark in one.decorator_list] if isinstance(one, ast.FunctionDef) else []
        if isinstance(one, ast.FunctionDef) and "builtins.property" in marks and not one.name.endswith("_input"):
            yield one.name


def differences(text: str, types: Mapping[str, Schema]) -> Iterator[str]:
    """What a file's text gives to types, or reads of them, that they do not have, and what it leaves out."""
    for kind, _, body in used(text):
        yield from _missing(body, types[kind], kind) if kind in types else [f"{kind} is new: make provider_6.json anew"]
    for kind, attribute in _READ.findall(text):
        known = types.get(kind, {"arguments": {}, "attributes": ()})
        if attribute not in known["arguments"] and attribute not in known["attributes"]:
            yield f"{kind} has no {attribute} to read"


def _missing(body: Mapping[str, Any], schema: Schema, path: str) -> Iterator[str]:
    found = {name: blocks for name, blocks in given(body) if name not in META}
    yield from (f"{path} has no {name}" for name in found if name not in schema["arguments"])
    yield from (f"{path} needs {name}" for name in schema["required"] if name not in found)
    for name, blocks in found.items():
        if inner := schema["arguments"].get(name):
            for block in blocks:
                yield from _missing(block, inner, f"{path}.{name}")


def main(arguments: list[str]) -> int:
    """Write the file anew from a wheel."""
    (wheel,) = map(Path, arguments)
    kinds = {kind for file in sources() for kind, _, _ in used(file.read_text())}
    with zipfile.ZipFile(wheel) as package:
        provider = re.search(rb"providers/hashicorp/aws/([0-9.]+)", package.read(f"{PACKAGE}/vpc/__init__.py"))
    assert provider is not None
    origin = f"{wheel.name}, hashicorp/aws {provider[1].decode()}"
    # A line a type: that is what a change of it is looked at by.
    types = [f"{json.dumps(kind)}: {json.dumps(one, sort_keys=True)}" for kind, one in distil(wheel, kinds).items()]
    FILE.write_text(f'{{"origin": {json.dumps(origin)}, "types": {{\n' + ",\n".join(types) + "\n}}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The tables of inputs and outputs in the README of the Terraform root and each module, out of their declarations."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hcl2

from scripts.checks import generated
from scripts.core.errors import CheckFailed


@dataclass(frozen=True)
class Declared:
    """A variable or an output.

    Attributes:
        name: its name.
        description: what it says of itself, Markdown.
        type: as it is written, in one line; empty for an output.
        default: as it is written, in one line; None where a value must be given.
    """

    name: str
    description: str
    type: str = ""
    default: str | None = None


def pages(root: Path) -> dict[Path, str]:
    """Every README with tables, as it should be.

    Args:
        root: the folder of the Terraform code.

    Raises:
        CheckFailed: a declaration has no description.
    """
    folders = sorted({file.parent for file in root.rglob("variables*.tf") if ".terraform" not in file.parts})
    return {folder / "README.md": _page(folder) for folder in folders}


def tables(variables: str, outputs: str) -> str:
    """Both tables.

    Args:
        variables: the text of `variables*.tf`.
        outputs: that of `outputs.tf`.

    Raises:
        CheckFailed: a declaration has no description.
    """
    inputs = [
        f"| `{one.name}` | {_cell(one.description)} | `{_cell(one.type)}` | {_default(one.default)} |"
        for one in declared(variables, "variable")
    ]
    given = [f"| `{one.name}` | {_cell(one.description)} |" for one in declared(outputs, "output")]
    return "\n".join(
        [
            *("| input | what it says | type | default |", "| --- | --- | --- | --- |", *inputs),
            *("", "| output | what it is |", "| --- | --- |", *given),
        ]
    )


def declared(text: str, kind: str) -> list[Declared]:
    """The declarations of a kind (`variable`, `output`) in HCL, by name.

    Raises:
        CheckFailed: one has no description.
    """
    blocks: list[dict[str, Any]] = hcl2.loads(text).get(kind, [])
    found = [_declared(_bare(name), body) for block in blocks for name, body in block.items()]
    return sorted(found, key=lambda one: one.name)


def _page(folder: Path) -> str:
    # A long list of variables is in several files: variables.tf, variables_storage.tf.
    page, variables, outputs = (
        "\n".join(file.read_text(encoding="utf-8") for file in sorted(folder.glob(name)))
        for name in ("README.md", "variables*.tf", "outputs.tf")
    )
    try:
        text = tables(variables, outputs)
    except CheckFailed as error:
        raise CheckFailed(f"{folder}: {error}") from error
    return generated.replaced(page or f"# {folder.name}\n", "inputs and outputs", text, heading="## Inputs and outputs")


def _declared(name: str, body: Mapping[str, Any]) -> Declared:
    if "description" not in body:
        raise CheckFailed(f"{name} has no description: say what it is")
    return Declared(
        name=name,
        description=_bare(body["description"]),
        type=_written(body["type"]) if "type" in body else "",
        default=_written(body["default"]) if "default" in body else None,
    )


def _bare(text: str) -> str:
    """A string without its quotation marks, which the parser keeps."""
    return text.removeprefix('"').removesuffix('"').replace('\\"', '"')


def _written(value: Any) -> str:
    """A value of the parser's as HCL has it, in one line."""
    if isinstance(value, str):
        return value.removeprefix("${").removesuffix("}") if value.startswith("${") else value
    if isinstance(value, list):
        return f"[{', '.join(_written(part) for part in value)}]"
    if isinstance(value, dict):
        parts = [f"{_bare(key)} = {_written(part)}" for key, part in value.items()]
        return f"{{ {', '.join(parts)} }}" if parts else "{}"
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )


def _default(value: str | None) -> str:
    return "must be given" if value is None else f"`{_cell(value)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

"""The job files' JSON Schema as a file for editors, made of the fields that `winbatch` holds them to. Pure."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winbatch.job_fields import SCHEMA

FILE = Path("docs/reference/job.schema.json")
"""Says where it lies in a checkout; each job file names it by a relative path."""

_HEAD = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$comment": "Generated from dags/winbatch/job_fields.py: invoke format writes this.",
    "title": "A job file of dags/jobs",
    "description": "docs/jobs.md explains it.",
}
# What stands without quotes is text to a job file where text is expected; to an editor it may be a number.
_TEXT = ["string", "number", "boolean"]
_BOOLEAN = [True, False, "yes", "no", "on", "off"]


def page(root: Path) -> tuple[Path, str]:
    """Give the file and what it should hold.

    Args:
        root: the checkout.
    """
    return root / FILE, json.dumps({**_HEAD, **_widened(SCHEMA)}, indent=2) + "\n"


def _widened(schema: Any) -> Any:
    """The schema for values as YAML itself reads them, which knows no field's type."""
    if isinstance(schema, list):
        return [_widened(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {key: _widened(value) for key, value in schema.items()}
    # A name is not widened: none is a number.
    if schema.get("type") == "string" and "pattern" not in schema:
        made["type"] = _TEXT
    if schema.get("type") == "boolean":
        made = {key: value for key, value in made.items() if key != "type"} | {"enum": _BOOLEAN}
    return made

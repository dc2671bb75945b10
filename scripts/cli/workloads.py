"""Verbs of workloads."""

from invoke.context import Context

from scripts.cli.command import command
from scripts.core.console import console
from scripts.core.settings import Settings
from scripts.images import scaffold as maker


@command(
    "workloads",
    help={
        "name": "the workload's: lower-case letters, digits and inner dashes",
        "kind": f"what an item runs: {', '.join(maker.KINDS)}",
    },
)
def new(_: Context, name: str, kind: str = "python") -> None:
    """Make a workload: a folder of images/ with Dockerfile and code, a job, tests, and its place in every environment.

    Example: invoke workloads.new mine --kind exe
    """
    settings = Settings.load("local")
    for file in maker.make(settings, name, kind):
        console.print(str(file.relative_to(settings.root)), markup=False)
    if still := maker.still_to_do(settings, name, kind):
        console.print(f"First, for the program that its items start: {still}", markup=False)
    console.print(f"Next: make setup up, then .venv/bin/invoke run --dag {name}; docs/bring-your-own.md", markup=False)

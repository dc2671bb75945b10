"""`invoke bench`: measures the parts asked for, writes build/bench.json, shows a table."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.bench import dags, deploy, figures, machine, orchestration, root, simulated, worker
from scripts.bench.figures import Figure
from scripts.console import Steps, console, emit
from scripts.errors import BenchError, OperatorError, SettingsError
from scripts.settings import Settings

SCHEMA = 1
RUNS = 3
# Each mapped run takes two to three minutes: one of each is what twenty minutes have room for.
RARE_RUNS = 1
PARSES = 5
STARTS = 5
# Columns of the table where there is no terminal to ask.
WIDTH = 160


@dataclass(frozen=True)
class Options:
    """How often what is measured; docs/bench.md says why not the same for all."""

    runs: int = RUNS
    rare_runs: int = RARE_RUNS


Measured = tuple[list[Figure], dict[str, Any]]


def run(settings: Settings, only: str, options: Options, *, as_json: bool) -> None:
    """Measure.

    Args:
        settings: of the local environment; the bench makes one of its own.
        only: parts, or beginnings of their names, with commas; empty: all.
        options: how often.
        as_json: end with the file's content on standard output.

    Raises:
        SettingsError: there is no such part.
        BenchError: a figure is out of its bound, or a part failed; the file is written all the same.
    """
    parts = chosen(only)
    if min(options.runs, options.rare_runs) < 1:
        raise SettingsError("--runs and --rare-runs take a whole number from 1 on")
    facts = machine.facts(settings)
    began = time.monotonic()
    found: list[Figure] = []
    details: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for part in parts:
        console.rule(part)
        try:
            measured, details[part] = PARTS[part](settings, options)
        except OperatorError as error:
            # What the other parts measure is worth having all the same.
            failed[part] = str(error)
            console.print(f"{part} has no figures: {error}", style="red", markup=False, soft_wrap=True)
        else:
            found += measured
    report = {
        "schema": SCHEMA,
        "parts": parts,
        "failed": failed,
        "machine": facts,
        "seconds": round(time.monotonic() - began, 1),
        "figures": {figure.name: figure.as_json() for figure in found},
        "details": details,
    }
    file = settings.root / "build" / "bench.json"
    _write(file, report)
    console.rule("Figures")
    wide = console if console.is_terminal else Console(stderr=True, highlight=False, width=WIDTH)
    wide.print(figures.table(found))
    console.print(f"{file}, after {report['seconds']:.0f} s on {facts['cores']} cores", markup=False, soft_wrap=True)
    if as_json:
        emit(report)
    problems = [f"{part} failed: {reason}" for part, reason in failed.items()] + figures.broken(found)
    if problems:
        raise BenchError("; ".join(problems))


def chosen(only: str) -> list[str]:
    """The parts that are meant: `engine` means all that begin with `engine.`.

    Raises:
        SettingsError: there is no such part.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if not any(_means(name, part) for part in PARTS):
            raise SettingsError(f"--only {name}: there are {', '.join(PARTS)}, and their beginnings")
    return [part for part in PARTS if not names or any(_means(name, part) for name in names)]


def _means(name: str, part: str) -> bool:
    return part == name or part.startswith(f"{name}.")


def _dag(settings: Settings, options: Options) -> Measured:  # noqa: ARG001 - as the others
    with Steps().step("The DAG folder is parsed") as step:
        return dags.measure(settings, PARSES, step.update), {}


def _simulated(settings: Settings, options: Options) -> Measured:
    steps = Steps()
    with steps.step("A simulated Windows cluster") as step:
        windows, details = simulated.windows(step.update)
    with steps.step(f"{simulated.SHARDS:,} simulated shards") as step:
        large, more = simulated.hundred_thousand(settings, options.runs, step.update)
    return [*windows, *large], {"windows": details, "100k": more}


def _orchestration(settings: Settings, options: Options) -> Measured:
    return orchestration.measure(settings, repeat=options.runs, rarely=options.rare_runs)


def _terraform(settings: Settings, options: Options) -> Measured:
    return root.measure(settings, options.runs)


def _worker(settings: Settings, options: Options) -> Measured:  # noqa: ARG001 - as the others
    with Steps().step("Workers against a local S3") as step:
        return worker.measure(max(options.runs, STARTS), step.update)


def _write(file: Path, report: Mapping[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _deploy(settings: Settings, options: Options) -> Measured:
    return deploy.measure(settings, options.runs), {}


PARTS: Mapping[str, Callable[[Settings, Options], Measured]] = {
    "engine.dag": _dag,
    "engine.sim": _simulated,
    "engine.orchestration": _orchestration,
    "terraform": _terraform,
    "worker": _worker,
    "deploy": _deploy,
}

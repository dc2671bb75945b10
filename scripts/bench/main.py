"""`invoke bench`: measures the parts asked for, writes build/bench.json, shows a table."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console

from scripts.bench import (
    aggregate,
    calls,
    chaos,
    dags,
    deploy,
    figures,
    kernel,
    load,
    memory,
    orchestration,
    root,
    rules,
    source,
    statements,
    tests,
    windows,
    worker,
    worlds,
)
from scripts.bench.environment import Life
from scripts.bench.figures import Figure
from scripts.bench.options import Options
from scripts.bench.simulated import Simulations
from scripts.checks import machine
from scripts.checks import report as test_report
from scripts.core.console import Steps, console, emit
from scripts.core.errors import BenchError, OperatorError, SettingsError
from scripts.core.settings import Settings
from winbatch.suggesting import hint

SCHEMA = 1
PARSES = 3
STARTS = 5
PAIRS = 5
# What comes after the mapped runs takes about so long, s: they leave it.
AFTER = {"deploy": 100.0, "terraform": 50.0}
# Columns of the table where there is no terminal to ask.
WIDTH = 160


@dataclass(frozen=True)
class Bench:
    """What the parts share.

    Attributes:
        settings: of the local environment.
        options: how often.
        parts: that were asked for.
        began: when, by the monotonic clock.
    """

    settings: Settings
    options: Options
    parts: Sequence[str]
    began: float = field(default_factory=time.monotonic)

    @cached_property
    def life(self) -> Life:
        """Of the environment that those parts share which need one."""
        return Life(self.settings, orchestration.COMPARISON)

    @cached_property
    def simulations(self) -> Simulations:
        """Give the simulated jobs, which several parts share."""
        return Simulations(self.settings, self.options.runs)

    def close(self) -> None:
        """Take the environment down, if there was one."""
        if "life" in vars(self):
            self.life.close()

    def left(self) -> float:
        """Seconds that there are for what need not be repeated."""
        after = sum(seconds for part, seconds in AFTER.items() if part in self.parts)
        return self.options.minutes * 60 - after - (time.monotonic() - self.began)


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
    if options.runs < 1 or options.minutes < 0:
        raise SettingsError("--runs takes a whole number from 1 on, --minutes a number from 0 on")
    facts = machine.facts(settings)
    bench = Bench(settings, options, parts)
    found: list[Figure] = []
    details: dict[str, Any] = {}
    failed: dict[str, str] = {}
    try:
        for part in parts:
            console.rule(part)
            try:
                measured, details[part] = PARTS[part](bench)
            except OperatorError as error:
                # What the other parts measure is worth having all the same.
                failed[part] = str(error)
                console.print(f"{part} has no figures: {error}", style="red", markup=False, soft_wrap=True)
            else:
                found += measured
    finally:
        try:
            bench.close()
        except OperatorError as error:
            # What was measured is worth having when the environment does not go down, too.
            failed["down"] = str(error)
    report = {
        "schema": SCHEMA,
        "parts": parts,
        "failed": failed,
        "machine": facts,
        "seconds": round(time.monotonic() - bench.began, 1),
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
            raise SettingsError(f"--only {name}{hint(name, PARTS)}: there are {', '.join(PARTS)}, and their beginnings")
    return [part for part in PARTS if not names or any(_means(name, part) for name in names)]


def _means(name: str, part: str) -> bool:
    return part == name or part.startswith(f"{name}.")


def _dag(bench: Bench) -> Measured:
    with Steps().step("The DAG folder is parsed") as step:
        return dags.measure(bench.settings, PARSES, step.update), {}


def _worker(bench: Bench) -> Measured:
    with Steps().step("Workers against a local S3") as step:
        return worker.measure(max(bench.options.runs, STARTS), step.update)


def _kernel(bench: Bench) -> Measured:
    with Steps().step("Kernels beside Octave, on one core") as step:
        return kernel.measure(max(bench.options.runs, PAIRS), step.update)


def _aggregate(bench: Bench) -> Measured:
    return aggregate.measure(bench.settings, bench.options.runs)


def _slots(bench: Bench) -> Measured:
    made = bench.life.environment
    if "engine.sim" in bench.parts:
        bench.simulations.begin()
    return orchestration.slots(made, bench.options.runs), {}


def _simulated(bench: Bench) -> Measured:
    with Steps().step("Simulated clusters") as step:
        return bench.simulations.measure(step.update)


def _orchestration(bench: Bench) -> Measured:
    warm = "engine.slots" in bench.parts
    return orchestration.measure(bench.life.environment, bench.options.runs, bench.left, warm=warm)


def _load(bench: Bench) -> Measured:
    made = bench.life.environment
    with Steps().step("Large jobs, and a simulated day") as step:
        return load.measure(made, step.update)


def _deploy(bench: Bench) -> Measured:
    return deploy.measure(bench.life, bench.options.runs), {}


def _terraform(bench: Bench) -> Measured:
    return root.measure(bench.life, bench.options.runs), {}


def _tests(bench: Bench) -> Measured:
    return tests.measure(bench.settings.root / "build" / test_report.FILE)


def _calls(bench: Bench) -> Measured:
    with Steps().step("Calls of the emulator, decided and not") as step:
        return calls.measure(bench.settings, bench.options.runs, step.update)


def _statements(bench: Bench) -> Measured:
    return statements.measure(bench.settings.root / "build" / test_report.FIGURES), {}


def _rules(bench: Bench) -> Measured:
    return rules.measure(bench.settings.root), {}


def _code(bench: Bench) -> Measured:
    return source.measure(bench.settings.root)


def _windows(bench: Bench) -> Measured:
    with Steps().step("Windows containers under Wine") as step:
        return windows.measure(bench.settings, bench.options.runs, step.update)


def _worlds(_: Bench) -> Measured:
    with Steps().step("Simulated worlds, and faults planted into them") as step:
        return worlds.measure(step.update)


def _chaos(bench: Bench) -> Measured:
    return chaos.measure(bench.settings)


def _memory(bench: Bench) -> Measured:
    return memory.measure(bench.settings), {}


def _write(file: Path, report: Mapping[str, Any]) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


# In this order: the simulations compute while the long shards sleep, and what comes last takes the environment down.
PARTS: Mapping[str, Callable[[Bench], Measured]] = {
    "aws.identity": _calls,
    "engine.dag": _dag,
    "worker": _worker,
    "kernel": _kernel,
    "aggregate": _aggregate,
    "engine.slots": _slots,
    "engine.sim": _simulated,
    "simulation": _worlds,
    "engine.orchestration": _orchestration,
    "load": _load,
    "deploy": _deploy,
    "terraform": _terraform,
    "tests": _tests,
    "code": _code,
    "aws.rules": _rules,
    "aws.statements": _statements,
    "aws.memory": _memory,
    "windows": _windows,
    "chaos": _chaos,
}

"""`invoke chaos`: rounds of real faults on a real environment, until the time is used up or something did not hold."""

import dataclasses
import json
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from scripts.chaos import environment, faults
from scripts.chaos.place import Place
from scripts.chaos.rounds import Lived, Round
from scripts.chaos.schedule import Schedule
from scripts.core.console import Steps, console
from scripts.core.errors import CheckFailed, SettingsError
from scripts.core.settings import Settings
from winbatch.suggesting import hint

MINUTES = 10


@dataclasses.dataclass
class Tally:
    """Counts what came of all rounds."""

    rounds: list[Lived] = dataclasses.field(default_factory=list)
    seconds: float = 0.0

    @property
    def jobs(self) -> int:
        """Jobs that were judged."""
        return sum(lived.jobs for lived in self.rounds)

    @property
    def jobs_an_hour(self) -> float:
        """As many come in an hour, the environment's own coming and going left out."""
        return 3600 * self.jobs / self.seconds if self.seconds else 0.0

    @property
    def faults(self) -> Counter[str]:
        """Count what went wrong, by kind."""
        return sum((lived.done for lived in self.rounds), Counter[str]())

    def about(self, *what: str) -> int:
        """Count the problems about something."""
        return sum(problem.about in what for lived in self.rounds for problem in lived.problems)

    @property
    def problems(self) -> list[str]:
        """Say what did not hold, a sentence each."""
        return [problem.sentence for lived in self.rounds for problem in lived.problems]

    def as_json(self) -> dict[str, Any]:
        """Give it for a program."""
        return {
            "seconds": round(self.seconds, 1),
            "jobs": self.jobs,
            "jobs_an_hour": round(self.jobs_an_hour, 1),
            "faults": dict(self.faults),
            "lost_or_twice": self.about("items"),
            "left_over": self.about("left"),
            "problems": self.problems,
            "rounds": [
                {
                    "seed": lived.schedule.seed,
                    "schedule": lived.schedule.to_json(),
                    "jobs": lived.jobs,
                    "faults": dict(lived.done),
                    "found_nobody": dict(lived.missed),
                    "gone_with_the_emulator": lived.gone,
                    "resumed": lived.resumed,
                    "problems": [dataclasses.asdict(problem) for problem in lived.problems],
                    "seconds": round(lived.seconds, 1),
                }
                for lived in self.rounds
            ],
        }


def run(settings: Settings, *, minutes: int, seed: int, airflow: str = "") -> Tally:
    """Make an environment, live rounds in it, take it down.

    Args:
        settings: of the local environment, which is not touched.
        minutes: no round begins after these; 0: as many as there are by default.
        seed: of the first round, the next ones count on; 0: one that nobody has run.
        airflow: its version at first; empty: the checkout's.

    Raises:
        SettingsError: there is no such version.
        OperatorError: the environment does not come up or go down.
    """
    if airflow and airflow not in faults.VERSIONS:
        raise SettingsError(
            f"--airflow {airflow}{hint(airflow, faults.VERSIONS)}: there are {', '.join(faults.VERSIONS)}"
        )
    seed = seed or int(time.time()) % 10**9
    logs = settings.root / "build" / "chaos"
    steps = Steps()
    with environment.own(settings, logs, steps, airflow) as place:
        return rounds(place, steps, seed=seed, seconds=60.0 * (minutes or MINUTES))


def rounds(place: Place, steps: Steps, *, seed: int, seconds: float) -> Tally:
    """Live rounds, until one does not hold or the time is used up; at least one."""
    tally, began = Tally(), time.monotonic()
    while not tally.rounds or (not tally.problems and time.monotonic() - began < seconds):
        this = seed + len(tally.rounds)
        schedule = Schedule.draw(this, faults.KINDS)
        with steps.step(f"Round of seed {this}") as step:
            lived = Round(place, schedule, say, step.update).live()
            step.detail = f"{lived.jobs} jobs, {lived.done.total()} things went wrong, {len(lived.problems)} problems"
        tally.rounds.append(lived)
        tally.seconds = time.monotonic() - began
    place.logs.mkdir(parents=True, exist_ok=True)
    (place.logs / "chaos.json").write_text(json.dumps(tally.as_json(), indent=1) + "\n", encoding="utf-8")
    if tally.problems:
        keep_logs(place.settings.state, place.logs / "environment")
    return tally


def say(line: str) -> None:
    """Tell what happens."""
    console.print(f"  {line}", markup=False, soft_wrap=True)


def keep_logs(state: Path, target: Path) -> None:
    """Keep what an environment has logged, which goes with it."""
    for file in [file for file in state.rglob("*.log") if file.is_file()]:
        copy = target / file.relative_to(state)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def table(tally: Tally) -> Table:
    """Show what happened."""
    shown = Table(box=None, pad_edge=False)
    shown.add_column("what")
    shown.add_column("count", justify="right")
    resumed, gone = (sum(getattr(lived, name) for lived in tally.rounds) for name in ("resumed", "gone"))
    rows: Mapping[str, object] = {
        "rounds": len(tally.rounds),
        "jobs": f"{tally.jobs} ({tally.jobs_an_hour:.0f} an hour)",
        "resumed by people": resumed,
        "gone with the emulator": gone,
        **{f"  {kind}": count for kind, count in sorted(tally.faults.items())},
        "lost or twice": tally.about("items"),
        "left over": tally.about("left"),
        "told wrong, or without an end": tally.about("told", "ends"),
    }
    for name, value in rows.items():
        shown.add_row(name, str(value))
    return shown


def show(tally: Tally, logs: Path) -> None:
    """Show what happened, and what did not hold.

    Raises:
        CheckFailed: something did not hold; the line says how to see it again.
    """
    console.print(table(tally))
    for sentence in tally.problems:
        console.print(f"✗ {sentence}", markup=False, soft_wrap=True)
    if tally.problems:
        # The round in which something does not hold is the last one.
        again = tally.rounds[-1].schedule.seed
        raise CheckFailed(
            f"{len(tally.problems)} things did not hold in the round of seed {again}: its schedule and all logs are in"
            f" {logs}; again: invoke chaos --seed {again} --minutes 1"
        )

"""Many worlds: those that once failed first, then new seeds until the number or the time is used up."""

import contextlib
import dataclasses
import json
import logging
import multiprocessing
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import count, islice
from pathlib import Path

from simulation.scenario import Scenario
from simulation.world import World

KEPT = Path(__file__).resolve().parent / "seeds"
# Worlds that a process of several runs between two words with the others.
BATCH = 5


@dataclasses.dataclass(frozen=True)
class Lived:
    """What came of a world, in short.

    Attributes:
        name: `seed 17`, or the file of a kept one.
        scenario: its.
        problems: what did not hold.
        jobs: that were run.
        job_hours: that they were there for, simulated.
        seconds: of processor time.
        digest: of its trace.
    """

    name: str
    scenario: Scenario
    problems: tuple[str, ...]
    jobs: int
    job_hours: float
    seconds: float
    digest: str


@dataclasses.dataclass
class Tally:
    """What came of many worlds."""

    worlds: int = 0
    jobs: int = 0
    job_hours: float = 0.0
    seconds: float = 0.0
    failed: list[Lived] = dataclasses.field(default_factory=list)

    def add(self, lived: Lived) -> None:
        """Count a world."""
        self.worlds += 1
        self.jobs += lived.jobs
        self.job_hours += lived.job_hours
        self.seconds += lived.seconds
        if lived.problems:
            self.failed.append(lived)

    @property
    def job_hours_per_minute(self) -> float:
        """Simulated hours of jobs in a minute of processor time."""
        return self.job_hours * 60 / self.seconds if self.seconds else 0.0

    @property
    def seeds_per_minute(self) -> float:
        """Worlds in a minute of processor time."""
        return self.worlds * 60 / self.seconds if self.seconds else 0.0


def kept(folder: Path = KEPT) -> dict[str, Scenario]:
    """Read the scenarios of worlds that failed once, by their file's name."""
    return {
        file.stem: Scenario.from_json(json.loads(file.read_text(encoding="utf-8"))["scenario"])
        for file in sorted(folder.glob("*.json"))
    }


def keep(name: str, scenario: Scenario, problems: Iterable[str], folder: Path = KEPT) -> Path:
    """Write down a scenario that failed, for every later run to begin with."""
    file = folder / f"{name}.json"
    data = {"problems": [*problems], "scenario": scenario.to_json()}
    folder.mkdir(exist_ok=True)
    file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return file


@contextlib.contextmanager
def unlogged() -> Iterator[None]:
    """Have the product log nothing: in a world it is of no use to anybody."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def live(name: str, scenario: Scenario) -> Lived:
    """Let a world live."""
    began = time.process_time()
    with unlogged():
        outcome = World(scenario).live()
    jobs = len(scenario.jobs)
    return Lived(
        name,
        scenario,
        outcome.problems,
        jobs,
        outcome.hours * jobs,
        time.process_time() - began,
        outcome.digest,
    )


def run(
    *, first: int, seeds: int | None = None, minutes: float | None = None, kept_first: bool = True, processes: int = 1
) -> Iterator[Lived]:
    """Run worlds.

    Args:
        first: the first seed.
        seeds: so many.
        minutes: of processor time, after which no other begins.
        kept_first: begin with those that failed once.
        processes: that run worlds side by side.
    """
    worlds = iter([*kept().items()] if kept_first else [])
    fresh = (
        (f"seed {seed}", Scenario.draw(seed))
        for seed in (count(first) if seeds is None else range(first, first + seeds))
    )
    both = (world for some in (worlds, fresh) for world in some)
    lived = _here(both) if processes == 1 else _side_by_side(both, processes)
    spent = 0.0
    for each in lived:
        yield each
        spent += each.seconds
        if minutes is not None and spent >= minutes * 60:
            break


def _here(worlds: Iterable[tuple[str, Scenario]]) -> Iterator[Lived]:
    return (live(name, scenario) for name, scenario in worlds)


def _side_by_side(worlds: Iterator[tuple[str, Scenario]], processes: int) -> Iterator[Lived]:
    pool = ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn"))
    pending: set[Future[list[Lived]]] = set()
    try:
        while True:
            while len(pending) < processes and (batch := [*islice(worlds, BATCH)]):
                pending.add(pool.submit(_batch, batch))
            if not pending:
                return
            ended, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in ended:
                yield from future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _batch(worlds: list[tuple[str, Scenario]]) -> list[Lived]:
    return [*_here(worlds)]

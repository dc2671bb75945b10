"""The simulated figures: a Windows cluster with its real costs, and a hundred thousand shards under AWS's limits."""

import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property
from typing import Any

from scripts.bench.cluster import Case, simulate, static_wall
from scripts.bench.figures import Figure
from scripts.core.errors import BenchError
from scripts.core.settings import Settings
from winbatch import capacity

MAX_WINDOWS_WALL_OVER_IDEAL = 1.15
MAX_SECONDS = 60.0
MAX_MB = 500.0
SEED = 20261122
# Each draws another log-normal load, and another order in which shards are taken.
SEEDS = 9

SHARDS = 100_000
# A hundred thousand shards of one to two minutes on 2,000 slots: more than an hour, after which ECS forgets.
INSTANCES = 500
SHORTEST, LONGEST = 60.0, 120.0
FAILING = 0.02
LOST_HOSTS = 20
# Processes at once that simulate.
SIDE_BY_SIDE = 2


def windows_cases(seed: int) -> dict[str, Case]:
    """The three loads of a Windows cluster of 24 slots; the last is of the same work as the second."""
    spread = random.Random(seed)  # noqa: S311 - a simulation
    raw = [spread.lognormvariate(0.0, 1.0) for _ in range(2000)]
    scale = 30.0 * len(raw) / sum(raw)
    loads: dict[str, Sequence[float]] = {
        "200 items of 5 min": [300.0] * 200,
        "2,000 items of 30 s": [30.0] * 2000,
        "2,000 items, log-normal": [seconds * scale for seconds in raw],
    }
    return {name: _packed(Case(seconds=seconds, seed=seed)) for name, seconds in loads.items()}


def _packed(case: Case) -> Case:
    """Items packed as the plan packs them when nobody says how long one takes."""
    return replace(case, shard_items=capacity.shard_items(len(case.seconds), case.all_slots))


class Simulations:
    """All simulations, in processes of the lowest priority: beside a part that waits they cost no time of their own."""

    def __init__(self, settings: Settings, runs: int) -> None:
        """Nothing is begun yet.

        Args:
            settings: of the local environment.
            runs: of the large simulation.
        """
        self._settings = settings
        self._runs = runs

    def begin(self) -> None:
        """Begin, unless they are under way."""
        assert self._pending

    def measure(self, progress: Callable[[str], None]) -> tuple[list[Figure], dict[str, Any]]:
        """Wait for them.

        Raises:
            BenchError: one broke a promise.
        """
        windows, *large = self._pending
        progress("a Windows cluster")
        loads = windows.result()
        reports = []
        for number, report in enumerate(large, 1):
            progress(f"{SHARDS:,} shards, run {number} of {len(large)}")
            reports.append(report.result())
        return [*_of_windows(loads), *_of_100k(reports)], {"windows": loads, "100k": {"runs": reports}}

    @cached_property
    def _pending(self) -> list[Future[dict[str, Any]]]:
        pool = ThreadPoolExecutor(SIDE_BY_SIDE)
        whats = ["windows", *(str(SEED + number) for number in range(self._runs))]
        pending = [pool.submit(self._simulate, what) for what in whats]
        pool.shutdown(wait=False)
        return pending

    def _simulate(self, what: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "scripts.bench.simulated", what],
            cwd=self._settings.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BenchError(f"the simulation {what}: {(done.stderr.splitlines() or ['no output'])[-1]}")
        report: dict[str, Any] = json.loads(done.stdout)
        return report


def windows() -> dict[str, dict[str, dict[str, float]]]:
    """Workers that pull beside static shards: what the three loads of each seed come to."""
    return {
        str(SEED + number): {name: _both(case) for name, case in windows_cases(SEED + number).items()}
        for number in range(SEEDS)
    }


def _of_windows(found: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[Figure]:
    """Of each seed the worst of the three loads."""

    def worst(kind: str) -> list[float]:
        return [max(entry[kind] for entry in loads.values()) for loads in found.values()]

    return [
        Figure(
            name="engine.sim_windows_wall_over_ideal",
            values=worst("pulling"),
            bound=MAX_WINDOWS_WALL_OVER_IDEAL,
            compared_with="boot, pull, one start, then 24 slots at work; the worst of three loads, by seed",
        ),
        Figure(
            name="engine.sim_windows_static_wall_over_ideal",
            values=worst("static"),
            compared_with="the same by an ECS task a shard, shards of the same size",
        ),
        Figure(
            name="engine.sim_windows_static_best_wall_over_ideal",
            values=worst("static_best"),
            compared_with="the same, of the size that is best for each load, known afterwards only",
        ),
    ]


def _both(case: Case) -> dict[str, float]:
    """Walls over the ideal: of workers that pull, of static shards of the same size, and of the best size."""
    sizes = range(1, len(case.seconds) // case.all_slots + 2)
    by_size = {size: static_wall(replace(case, shard_items=size)) for size in sizes}
    best = min(by_size, key=lambda size: by_size[size])
    return {
        "pulling": simulate(case).wall / case.ideal,
        "shard_items": case.shard_items,
        "static": static_wall(case) / case.ideal,
        "static_best": by_size[best] / case.ideal,
        "static_best_shard_items": best,
        "ideal_seconds": case.ideal,
    }


def _of_100k(reports: Sequence[Mapping[str, Any]]) -> list[Figure]:
    def values(name: str) -> list[float]:
        return [float(report[name]) for report in reports]

    what = f"{SHARDS:,} shards, {INSTANCES} instances, 2 % failed attempts, {LOST_HOSTS} lost hosts"
    return [
        Figure(
            name="engine.sim_100k_seconds",
            values=values("seconds"),
            unit="s",
            bound=MAX_SECONDS,
            compared_with=f"CPU; {what}",
        ),
        Figure(
            name="engine.sim_100k_tick_seconds",
            values=values("tick_seconds"),
            unit="s",
            compared_with="CPU of the engine's ticks alone",
        ),
        Figure(name="engine.sim_100k_peak_mb", values=values("peak_mb"), unit="MB", bound=MAX_MB),
        Figure(
            name="engine.sim_100k_submit_calls_peak",
            values=values("submit"),
            unit="calls/s",
            bound=100,
            compared_with="RunTask and StopTask: a bucket of 100, 40/s",
        ),
        Figure(
            name="engine.sim_100k_read_calls_peak",
            values=values("read"),
            unit="calls/s",
            bound=100,
            compared_with="Describe and List: a bucket of 100, 20/s",
        ),
        Figure(name="engine.sim_100k_provisioning_peak", values=values("provisioning"), unit="ECS tasks", bound=500),
        Figure(name="engine.sim_100k_limits_exceeded", values=values("exceeded"), bound=0),
        Figure(name="engine.sim_100k_shards_lost_or_twice", values=values("wrong"), bound=0),
        Figure(name="engine.sim_100k_wall_over_ideal", values=values("wall_over_ideal")),
    ]


def case_of_100k(seed: int) -> Case:
    """The large case."""
    spread = random.Random(seed)  # noqa: S311 - a simulation
    return Case(
        seconds=[spread.uniform(SHORTEST, LONGEST) for _ in range(SHARDS)],
        instances=INSTANCES,
        failing=FAILING,
        lost_hosts=LOST_HOSTS,
        seed=seed,
    )


def _report(seed: int) -> dict[str, Any]:
    case = case_of_100k(seed)
    outcome = simulate(case)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": time.process_time(),
        # The kernel counts KiB, that of macOS bytes.
        "peak_mb": peak / (1 << 20) if sys.platform == "darwin" else peak / 1024,
        "exceeded": sum(outcome.exceeded.values()),
        "wrong": abs(outcome.completions - SHARDS),
        "wall_over_ideal": outcome.wall / case.ideal,
        "ticks": outcome.ticks,
        "tick_seconds": outcome.tick_seconds,
        "executions": outcome.executions,
        "ecs_tasks": outcome.tasks,
        "calls": outcome.calls,
        **outcome.peaks,
    }


def main() -> None:
    """Simulate in this process: the Windows cluster, or the large case of a seed; the report on standard output."""
    os.nice(19)
    what = sys.argv[1]
    report = windows() if what == "windows" else _report(int(what))
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()

"""Verbs of whoever works on the checkout: check, measure, simulate, break; and the pipeline's comment."""

from invoke.context import Context

from scripts.bench.options import MINUTES, RUNS, Options
from scripts.cli.command import JSON, NO_NUMBER, Whole, command
from scripts.core import errors, given
from scripts.core.console import console, emit, say
from scripts.core.errors import SettingsError
from scripts.core.settings import Settings

BENCH_RUNS, BENCH_MINUTES = Whole(RUNS), Whole(MINUTES)


@command(name="demo")
def demo_(_: Context) -> None:
    """Set up, up, the main job, its results: everything, locally."""
    from scripts.cli import demo

    demo.run(Settings.load("local"))


@command(
    help={
        "only": "static checks, groups of slow tests, rooms or files, with commas; a wrong one is told what there is",
        "changed": "what differs from the main branch says which, for about a minute",
    }
)
def check(_: Context, only: str = "", changed: bool = False) -> None:
    """Everything that must hold (make test), or what a change touches of it: lint, types, Terraform, policies, tests.

    Examples: invoke check --changed; invoke check --only lint,fast; invoke check --only engine; invoke check --only
    scripts/jobs/runs.py; invoke check --only pipeline
    """
    from scripts.checks import run as checks

    checks.run(Settings.load("local"), only, changed=changed)


@command()
def test(_: Context) -> None:
    """Check everything that must hold, as each pull request does.

    Example: invoke test
    """
    from scripts.checks import run as checks

    checks.run(Settings.load("local"))


@command()
def lint(_: Context) -> None:
    """Check style, types and import directions only.

    Example: invoke lint
    """
    from scripts.checks import rooms
    from scripts.checks import run as checks

    checks.run(Settings.load("local"), ",".join(rooms.PYTHON))


@command(
    help={
        "file": "a file with Markdown",
        "about": "what it is about, such as plan-dev: it takes the place of what was said about the same before",
        "number": "the pull request's",
    }
)
def comment(_: Context, file: str = "", about: str = "", number: int = NO_NUMBER) -> None:
    """Say something on a pull request of GitHub, for the pipeline.

    Example: invoke comment --file build/plan.md --about plan-dev --number 12
    """
    from scripts.cli import github

    if not file or not about or number < 1:
        raise SettingsError("--file, --about and --number say what to say, about what, and on which pull request")
    said = github.comment(number, about, given.text("--file", file))
    console.print(said, markup=False, soft_wrap=True)


@command(
    name="bench",
    help={
        "only": "parts with commas, or how their names begin, such as engine or engine.sim; default: all",
        "runs": "runs of each figure",
        "minutes": "mapped operators are not run again when the whole would take longer than this",
        "json": JSON,
    },
)
def bench_(
    _: Context, only: str = "", runs: int = BENCH_RUNS, minutes: int = BENCH_MINUTES, json: bool = False
) -> None:
    """Measure what is promised in numbers: build/bench.json and a table. It starts what it needs and takes it down.

    Example: invoke bench --only engine.sim
    """
    from scripts.bench import main as bench

    bench.run(Settings.load("local"), only, Options(runs, minutes), as_json=json)


@command(
    help={
        "seeds": "so many new worlds; default: as many as there is time for",
        "minutes": "of processor time; default: 1, and 2 for each mutant",
        "seed": "run one world again and print its story: a number, or a name of simulation/seeds",
        "first": "the first new seed; default: one that nobody has run",
        "mutants": "plant each fault of simulation/mutants into a copy, and see that it is found",
        "json": JSON,
    }
)
def simulate(  # noqa: PLR0917 - invoke reads its options from here
    _: Context,
    seeds: int = NO_NUMBER,
    minutes: int = NO_NUMBER,
    seed: str = "",
    first: int = NO_NUMBER,
    mutants: bool = False,
    json: bool = False,
) -> None:
    """Run whole jobs in simulated worlds, with every fault, on seeds; simulation/COVERAGE.md.

    It begins with the worlds that failed once. One that fails is made smaller, told, and kept in simulation/seeds.

    Examples: invoke simulate --minutes 5; invoke simulate --seed 17; invoke simulate --mutants --json
    """
    from scripts.checks import simulations

    done = simulations.run(seeds=seeds, minutes=minutes, seed=seed, first=first, mutants=mutants)
    if json:
        emit(done.report)
    else:
        for line in done.lines:
            say(line)
    if done.failure:
        raise errors.CheckFailed(done.failure)


@command(
    help={
        "minutes": "no round begins after so many, each of which takes about four; default: 10",
        "seed": "of the first round, the next ones count on; default: one that nobody has run",
        "airflow": "the version that it begins with, such as 3.0.6; default: the checkout's",
        "json": JSON,
    }
)
def chaos(_: Context, minutes: int = NO_NUMBER, seed: int = NO_NUMBER, airflow: str = "", json: bool = False) -> None:
    """Run jobs in a local environment of its own while hosts, processes, AWS and people go wrong; docs/chaos.md.

    Example: invoke chaos --minutes 60; invoke chaos --seed 17 --minutes 1
    """
    from scripts.chaos import main

    settings = Settings.load("local")
    tally = main.run(settings, minutes=minutes, seed=seed, airflow=airflow)
    if json:
        emit(tally.as_json())
    main.show(tally, settings.root / "build" / "chaos")


@command(name="format")
def format_(_: Context) -> None:
    """Format Python and Terraform, and write what is generated."""
    from scripts.checks import run as checks

    checks.format_all(Settings.load("local"))


@command()
def clean(_: Context) -> None:
    """Remove what can be made again: build/ and the cache folder. The local environment must be down."""
    from scripts.environments import lifecycle

    lifecycle.clean(Settings.load("local"))

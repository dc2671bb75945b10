"""What a bit costs: the kernels beside the seed's model in Octave, pair by pair, on one core, in CPU time."""

import contextlib
import dataclasses
import itertools
import math
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.figures import Figure
from scripts.core.errors import BenchError
from scripts.tools.debian import OCTAVE

if TYPE_CHECKING:  # numba compiles when the kernels are imported, which no other command should wait for
    from ber.kernels import Kernels

# The seed's job by default.
TASKS = 200
FRAMES = 300_000
FRAME_SIZE = 4096
EBN0_DB = (0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 11.0, 12.0)

WAVEFORM_BOUND, NUMPY_BOUND, DECISION_BOUND, SCALING_BOUND, JOB_BOUND = 80.0, 10.0, 3000.0, 1.8, 10.0  # the last in s
SEED_GENERATOR, GOOD_GENERATOR = "seed", "twister"
MODEL = Path(__file__).parent / "files" / "seed_model.m"
# Where pairs are compared: every kernel takes as long at any point, and here even a short run has 1e5 errors to judge.
POINT = 4.0
# A second and more of Octave.
OCTAVE_FRAMES = 3000
# The seed's job is done in so many parts, one a pair, each with its share of every point.
JOB_PARTS = 5
# How often two threads are compared with one.
SCALES = 3
OCTAVE_SECONDS = 300.0
# Counts this many standard deviations from theory are wrong: one of 5e8 right ones is.
FAR = 6.0
_SEED = 20261122
_THREADS = 2
_SINGLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


@dataclasses.dataclass(frozen=True)
class Count:
    """Bits that were simulated.

    Attributes:
        bits: how many.
        errors: among them.
        seconds: of the processor.
    """

    bits: int
    errors: int
    seconds: float

    @property
    def mbit_per_s(self) -> float:
        """Give the rate, in million bits a second of the processor."""
        return self.bits / self.seconds / 1e6


@dataclasses.dataclass(frozen=True)
class Pair:
    """Octave and the kernels, one after the other.

    Attributes:
        octave: the seed's model with the seed's generator.
        twister: the same with Octave's good generator.
        waveform: one of the seed's tasks.
        numpy: the same task without numba.
        job: a part of the seed's job at decision level, a different one each time.
    """

    octave: Count
    twister: Count
    waveform: Count
    numpy: Count
    job: Count


def measure(pairs: int, progress: Callable[[str], None]) -> tuple[list[Figure], dict[str, Any]]:
    """Measure.

    Args:
        pairs: how many.
        progress: told what is being done.

    Raises:
        BenchError: Octave or numba is missing, or somebody counts what theory does not.
    """
    octave = _octave(progress)
    progress("the kernels compile")
    from ber import kernels  # noqa: PLC0415 - see above

    try:
        ours, numpy = kernels.named("numba"), kernels.named("numpy")
    except RuntimeError as error:
        raise BenchError(f"the kernels cannot be measured: {error}; make setup installs numba") from error
    task(ours, "decision", 0, POINT, frames=1)
    found = []
    with _one_core():
        for number in range(pairs):
            progress(f"pair {number + 1} of {pairs}")
            models = model(octave, OCTAVE_FRAMES)
            waveform = task(ours, "waveform", number, POINT)
            by_numpy = task(numpy, "waveform", number, POINT)
            if (waveform.bits, waveform.errors) != (by_numpy.bits, by_numpy.errors):
                raise BenchError(f"task {number}: numba counts {waveform.errors} errors, numpy {by_numpy.errors}")
            part = job(ours, number % JOB_PARTS)
            found.append(Pair(models[SEED_GENERATOR], models[GOOD_GENERATOR], waveform, by_numpy, part))
    scaling = []
    if len(os.sched_getaffinity(0)) >= _THREADS:
        for number in range(SCALES):
            progress(f"{_THREADS} threads, {number + 1} of {SCALES}")
            scaling.append(_scaling(ours))
    return figures(found, scaling), {"pairs": [dataclasses.asdict(pair) for pair in found]}


def figures(pairs: Sequence[Pair], scaling: Sequence[float]) -> list[Figure]:
    """What pairs come to; without a second core there is no scaling."""
    rates = {name: [getattr(pair, name).mbit_per_s for pair in pairs] for name in Pair.__annotations__}

    def over_octave(name: str) -> list[float]:
        return [ours / theirs for ours, theirs in zip(rates[name], rates["octave"], strict=True)]

    size = f"{FRAMES:,} frames of {FRAME_SIZE:,} bits"
    model_of = "the seed's model in Octave with the seed's generator, one core, CPU time, pair by pair"
    made = [
        Figure(
            name="kernel.waveform_vs_octave",
            values=over_octave("waveform"),
            bound=WAVEFORM_BOUND,
            sense="at least",
            compared_with=model_of,
        ),
        Figure(
            name="kernel.numpy_vs_octave",
            values=over_octave("numpy"),
            bound=NUMPY_BOUND,
            sense="at least",
            compared_with="the same",
        ),
        Figure(
            name="kernel.decision_vs_octave",
            values=over_octave("job"),
            bound=DECISION_BOUND,
            sense="at least",
            compared_with="the same",
        ),
        Figure(
            name="kernel.octave_mbit_per_s",
            values=rates["octave"],
            unit="Mbit/s",
            compared_with="what the three are compared with",
        ),
        Figure(
            name="kernel.octave_twister_mbit_per_s",
            values=rates["twister"],
            unit="Mbit/s",
            compared_with="the same model with Octave's good generator",
        ),
        Figure(
            name="kernel.waveform_mbit_per_s",
            values=rates["waveform"],
            unit="Mbit/s",
            compared_with=f"a task of {size}",
        ),
        Figure(
            name="kernel.numpy_mbit_per_s",
            values=rates["numpy"],
            unit="Mbit/s",
            compared_with="the same task",
        ),
        Figure(
            name="kernel.decision_mbit_per_s",
            values=rates["job"],
            unit="Mbit/s",
            compared_with=f"one of {JOB_PARTS} parts of the next, another in each pair",
        ),
        Figure(
            name="kernel.seed_job_seconds_one_core",
            values=whole_jobs([pair.job.seconds for pair in pairs]),
            unit="s",
            bound=JOB_BOUND,
            compared_with=f"CPU; {TASKS} tasks of {size} over {len(EBN0_DB)} points, decision level",
        ),
    ]
    if scaling:
        made.append(
            Figure(
                name=f"kernel.threads_scaling_{_THREADS}",
                values=scaling,
                bound=SCALING_BOUND,
                sense="at least",
                compared_with="a thread and a task, wall time; needs idle cores",
            )
        )
    return made


def model(octave: str, frames: int) -> Mapping[str, Count]:
    """The seed's model with either generator, by its name.

    Raises:
        BenchError: Octave fails, or does not count what theory says.
    """
    words = [str(frames), str(FRAME_SIZE), str(POINT), SEED_GENERATOR, GOOD_GENERATOR]
    try:
        done = subprocess.run(
            [octave, "--quiet", "--no-init-file", "--no-history", str(MODEL), *words],
            env={**os.environ, **_SINGLE},
            capture_output=True,
            text=True,
            timeout=OCTAVE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"Octave does not run the seed's model: {error}") from error
    # Octave 7 may fail on its way out, when all is said; so what it said is judged, and not its exit code.
    found = parse(done.stdout)
    if set(found) != {SEED_GENERATOR, GOOD_GENERATOR}:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BenchError(f"Octave does not run the seed's model: {last}")
    for generator, count in found.items():
        check(f"Octave with {generator!r}", count, {POINT: frames * FRAME_SIZE})
    return found


def parse(text: str) -> dict[str, Count]:
    """The lines that the model prints, by generator.

    Raises:
        BenchError: a line is none of them.
    """
    found = {}
    for line in text.splitlines():
        match line.split():
            case [generator, bits, errors, seconds]:
                try:
                    found[generator] = Count(int(bits), int(errors), float(seconds))
                except ValueError as error:
                    raise BenchError(f"the seed's model says {line!r}: {error}") from error
            case _:
                raise BenchError(f"the seed's model says {line!r}; generator, bits, errors and seconds are expected")
    return found


def task(kernel: "Kernels", method: str, item: int, ebn0_db: float, frames: int = FRAMES) -> Count:
    """One of the seed's tasks, as a worker would run it.

    Raises:
        BenchError: it does not count what theory says.
    """
    counted = _task(kernel, method, item, ebn0_db, frames)
    check(f"{kernel.label(method)}, task {item}", counted, {ebn0_db: frames * FRAME_SIZE})
    return counted


def whole_jobs(parts: Sequence[float]) -> list[float]:
    """What whole jobs take, of what their parts in order take; parts of an unfinished one are left out."""
    return [sum(some) for some in itertools.batched(parts, JOB_PARTS) if len(some) == JOB_PARTS]


def job(kernel: "Kernels", part: int) -> Count:
    """A part of the seed's job at decision level.

    Args:
        kernel: runs it.
        part: which of the `JOB_PARTS`.

    Raises:
        BenchError: it does not count what theory says.
    """
    each = TASKS // len(EBN0_DB)
    items = range(part, TASKS, JOB_PARTS)
    counts = [_task(kernel, "decision", item, EBN0_DB[item // each], FRAMES) for item in items]
    done = Count(
        sum(count.bits for count in counts),
        sum(count.errors for count in counts),
        sum(count.seconds for count in counts),
    )
    check("the seed's job", done, dict.fromkeys(EBN0_DB, each // JOB_PARTS * FRAMES * FRAME_SIZE))
    return done


def check(who: str, count: Count, bits: Mapping[float, int]) -> None:
    """Refuse a count that theory does not expect: who counts wrong may be as fast as he likes.

    Args:
        who: for the error's line.
        count: what was counted.
        bits: that it should have been, by Eb/N0 in dB.

    Raises:
        BenchError: these are not all bits, or by far not as many errors as there should be.
    """
    from ber import theory  # noqa: PLC0415 - it brings numpy

    rates = {point: theory.bit_error_rate(point) for point in bits}
    expected = sum(number * rates[point] for point, number in bits.items())
    deviation = math.sqrt(sum(number * rates[point] * (1 - rates[point]) for point, number in bits.items()))
    if count.bits != sum(bits.values()) or abs(count.errors - expected) > FAR * deviation + 1:
        raise BenchError(
            f"{who}: {count.errors:,} errors of {count.bits:,} bits, where theory has {expected:,.0f} ±"
            f" {deviation:,.0f} of {sum(bits.values()):,}"
        )


def _task(kernel: "Kernels", method: str, item: int, ebn0_db: float, frames: int) -> Count:
    from ber.simulate import Point, count  # noqa: PLC0415 - see above

    point = Point(ebn0_db=ebn0_db, frame_size=FRAME_SIZE, num_frames=frames, seed=_SEED, method=method)
    began = time.thread_time()
    tally = count(point, item, kernel)
    return Count(tally.bits, tally.errors, time.thread_time() - began)


def _scaling(kernel: "Kernels") -> float:
    """How many times as many tasks as one thread do threads work off, each on a task of its own."""

    def wall(threads: int) -> float:
        with ThreadPoolExecutor(threads) as pool:
            began = time.monotonic()
            for done in [pool.submit(_task, kernel, "waveform", item, POINT, FRAMES) for item in range(threads)]:
                done.result()
            return time.monotonic() - began

    # One before and one after: a machine that slows down meanwhile slows down both.
    before, together, after = wall(1), wall(_THREADS), wall(1)
    return _THREADS * statistics.mean((before, after)) / together


@contextlib.contextmanager
def _one_core() -> Iterator[None]:
    """Keep this thread, and the processes that it starts, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _octave(progress: Callable[[str], None]) -> str:
    OCTAVE.install(progress)
    found = OCTAVE.find()
    if found is None:
        raise BenchError(f"octave-cli is missing, which runs the seed's model: apt-get install {OCTAVE.package}")
    return found

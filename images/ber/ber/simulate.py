"""An item: bits at one Eb/N0, and how many of them were wrong."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from ber import importance, interval, kernels, streams, theory
from ber.modulation import CHANNELS, MODULATIONS
from winbatch.workload import Context

METHODS = ("waveform", "decision", "importance")

_EBN0_DB = (-50.0, 50.0)  # beyond, half of all bits are wrong, or none ever
_BITS = 1 << 53  # counts stay exact in every reader of JSON
_SYMBOLS = 1 << 22  # a block
# A block of the decision kernel takes 5 ms; a shorter one would be seeded for longer than it is worked on.
_DECISIONS = 1 << 28
# e^(-d²/2) must be a number in double precision.
_FARTHEST = 37.0

# On import, so that no item's time goes into compiling. Where it cannot, the items that want it say so.
kernels.numba_kernels()


@dataclasses.dataclass(frozen=True)
class Point:
    """The parameters of an item, checked.

    Attributes:
        ebn0_db: energy per bit over noise density, in dB.
        frame_size: bits a frame.
        num_frames: frames.
        seed: the job's seed; the item's number makes the stream its own.
        method: `waveform` makes bits and noise, `decision` draws each bit's error from the theory's probability,
            `importance` samples noise near the thresholds and weighs it.
        modulation: one of `MODULATIONS`.
        channel: one of `CHANNELS`.
        relative_width: of the 95 % confidence interval, over the rate: the item ends when it is as narrow, or else
            with the last frame; 0: with the last frame.
        kernel: `numba`, or the slow `numpy`, which counts the same; importance sampling always runs on numpy.
    """

    ebn0_db: float
    frame_size: int
    num_frames: int
    seed: int
    method: str = "waveform"
    modulation: str = "bpsk"
    channel: str = "awgn"
    relative_width: float = 0.0
    kernel: str = "numba"

    @property
    def bits(self) -> int:
        """Give the bits of all its frames: the most that are simulated."""
        return self.frame_size * self.num_frames

    @property
    def distance(self) -> float:
        """From a symbol to its nearest threshold, in deviations of the noise."""
        return importance.distance(theory.ebn0(self.ebn0_db), MODULATIONS[self.modulation].bit_energy)

    def check_importance(self) -> None:
        """Whether importance sampling has a meaning here.

        Raises:
            ValueError: with fading, whose errors are frequent, or so far out that no double holds the weight.
        """
        if self.channel != "awgn":
            raise ValueError(f"method importance is for channel awgn, this is {self.channel}, whose tail is not deep")
        if self.distance > _FARTHEST:
            raise ValueError(f"ebn0_db is {self.ebn0_db}: for importance the rate must be above 1e-300; lower it")

    @classmethod
    def from_params(cls, params: Mapping[str, Any]) -> Self:
        """Check an item's params.

        Raises:
            ValueError: one is missing, unknown, of another type or out of range; the line names it.
        """
        fields = {field.name: field for field in dataclasses.fields(cls)}
        if unknown := sorted(set(params) - set(fields)):
            raise ValueError(f"unknown parameter {', '.join(unknown)}; known are {', '.join(fields)}")
        required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
        if missing := sorted(required - set(params)):
            raise ValueError(f"parameter {', '.join(missing)} is missing")
        point = cls(**params)
        for name, least in (("frame_size", 1), ("num_frames", 1), ("seed", 0)):
            _whole_number(name, getattr(point, name), least)
        _number("ebn0_db", point.ebn0_db, *_EBN0_DB)
        _number("relative_width", point.relative_width, 0.0, 1.0)
        for name, known in (
            ("method", METHODS),
            ("modulation", MODULATIONS),
            ("channel", CHANNELS),
            ("kernel", kernels.NAMES),
        ):
            if getattr(point, name) not in known:
                raise ValueError(f"{name} is {getattr(point, name)!r}; it must be one of {', '.join(known)}")
        if point.method == "importance":
            point.check_importance()
        if point.bits > _BITS:
            raise ValueError(f"frame_size times num_frames is {point.bits:.3g} bits; {_BITS:.3g} is the most")
        return point


@dataclasses.dataclass(frozen=True)
class Tally:
    """What was counted.

    Attributes:
        bits: that were simulated.
        errors: among them; by `importance`, before they are weighted.
        squared: the sum of the squares of each symbol's number of errors; None where errors are independent.
        weights: by `importance`, the sums of weights and of their squares (`importance.Weights`).
    """

    bits: int = 0
    errors: int = 0
    squared: int | None = None
    weights: tuple[int, int] | None = None


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Simulate an item.

    Returns:
        `bits` and `bit_errors` as exact integers, and `kernel`, which names method, code and its version. Beside these
        `bit_errors_squared`, where the errors of a symbol depend on each other, `weight` and `weight_squared` of
        importance sampling, and with a relative width `stopped`: `width` or `budget`.

    Raises:
        ValueError: a parameter is wrong.
        RuntimeError: the kernel that is asked for cannot run here.
    """
    point = Point.from_params(params)
    kernel = kernels.named("numpy" if point.method == "importance" else point.kernel)
    tally = count(point, context.item, kernel)
    values: dict[str, Any] = {
        "bits": tally.bits,
        "bit_errors": tally.errors,
        "kernel": kernel.label(point.method),
    }
    if tally.squared is not None:
        values["bit_errors_squared"] = tally.squared
    if tally.weights is not None:
        values["weight"], values["weight_squared"] = tally.weights
    if point.relative_width:
        values["stopped"] = "width" if _is_narrow(point, tally) else "budget"
    return values


def count(point: Point, item: int, kernel: kernels.Kernels) -> Tally:
    """Simulate an item: the same counts from every kernel, on every machine.

    With a relative width the counts are looked at after 1, 2, 4, … 128 blocks, and after every 128 from then on: places
    that depend on nothing but the item.
    """
    step, per_unit = _step(point, kernel)
    units = max(1, point.bits // per_unit)
    if point.method == "decision":
        size: int | None = _DECISIONS
    elif point.method == "importance":
        size = importance.BLOCK_SAMPLES
    else:
        size = None if _pairs(point) else _SYMBOLS * MODULATIONS[point.modulation].bits
    tally = Tally()
    growing = point.relative_width > 0
    for batch in streams.batches(seed=point.seed, item=item, bits=units, block_bits=size, growing=growing):
        found = step(batch)
        tally = Tally(
            tally.bits + batch.bits * len(batch.keys) * per_unit,
            tally.errors + found.errors,
            None if found.squared is None else (tally.squared or 0) + found.squared,
            None if found.weights is None else _added(tally.weights or (0, 0), found.weights),
        )
        if growing and _is_narrow(point, tally):
            break
    return tally


def _step(point: Point, kernel: kernels.Kernels) -> tuple[Callable[[streams.Batch], Tally], int]:
    """What counts a batch, and the bits that each unit of its blocks stands for."""
    kind = MODULATIONS[point.modulation]
    deviation = np.float32(theory.noise_deviation(point.ebn0_db, point.modulation))

    def decision(batch: streams.Batch) -> Tally:
        rate = theory.bit_error_rate(point.ebn0_db, point.modulation, point.channel)
        return Tally(errors=int(kernel.decision(batch.state, batch.bits, np.uint64(int(rate * 2.0**64)))))

    def pairs(batch: streams.Batch) -> Tally:
        return Tally(errors=int(kernel.waveform(batch.state, batch.keys, batch.bits, deviation)))

    def symbols(batch: streams.Batch) -> Tally:
        fading = point.channel == "rayleigh"
        found = kernel.symbols(batch.state, batch.keys, batch.bits, *kind.axes, deviation, fading)
        return Tally(errors=int(found[0]), squared=int(found[1]) if kind.bits > 1 else None)

    def weighted(batch: streams.Batch) -> Tally:
        found = importance.sample(batch, point.modulation, point.distance)
        return Tally(errors=found.errors, weights=(found.total, found.squared))

    if point.method == "decision":
        return decision, 1
    if point.method == "importance":
        return weighted, kind.axis_bits
    return (pairs if _pairs(point) else symbols), 1


def _pairs(point: Point) -> bool:
    """Whether each bit meets a sample of its own: BPSK, and the axes of QPSK, without fading."""
    return point.channel == "awgn" and point.modulation in {"bpsk", "qpsk"}


def _is_narrow(point: Point, tally: Tally) -> bool:
    """Whether the interval is as narrow as it is asked for."""
    if tally.weights is not None:
        rate, error = importance.estimate(*tally.weights, tally.bits, point.modulation, point.distance)
        return rate > 0 and interval.SPAN * error <= point.relative_width * rate
    symbols = tally.bits / (1 if tally.squared is None else MODULATIONS[point.modulation].bits)
    width = interval.relative_width(tally.errors, tally.errors if tally.squared is None else tally.squared, symbols)
    return width <= point.relative_width


def _added(first: tuple[int, int], second: tuple[int, int]) -> tuple[int, int]:
    return first[0] + second[0], first[1] + second[1]


def _whole_number(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}; a whole number of at least {least} is expected")


def _number(name: str, value: Any, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} is {value!r}; a finite number is expected")
    if not low <= value <= high:
        raise ValueError(f"{name} is {value}; it must lie between {low:g} and {high:g}")

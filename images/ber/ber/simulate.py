"""An item: so many bits at one Eb/N0, and how many of them were wrong."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from ber import kernels, streams, theory
from winbatch.workload import Context

METHODS = ("waveform", "decision")

_EBN0_DB = (-50.0, 50.0)  # beyond, half of all bits are wrong, or none ever
_BITS = 1 << 53  # counts stay exact in every reader of JSON

# On import, so that a container that cannot compile says so before it claims work.
_kernels = kernels.best()


@dataclasses.dataclass(frozen=True)
class Point:
    """The parameters of an item, checked.

    Attributes:
        ebn0_db: energy per bit over noise density, in dB.
        frame_size: bits a frame.
        num_frames: frames.
        seed: the job's seed; the item's number makes the stream its own.
        method: `waveform` makes bits and noise, `decision` draws each bit's error from the theory's probability.
    """

    ebn0_db: float
    frame_size: int
    num_frames: int
    seed: int
    method: str = "waveform"

    @property
    def bits(self) -> int:
        return self.frame_size * self.num_frames

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
        low, high = _EBN0_DB
        ebn0_db = point.ebn0_db
        if isinstance(ebn0_db, bool) or not isinstance(ebn0_db, int | float) or not math.isfinite(ebn0_db):
            raise ValueError(f"ebn0_db is {ebn0_db!r}; a finite number of decibels is expected")
        if not low <= ebn0_db <= high:
            raise ValueError(f"ebn0_db is {ebn0_db}; it must lie between {low:g} and {high:g}")
        if point.method not in METHODS:
            raise ValueError(f"method is {point.method!r}; it must be one of {', '.join(METHODS)}")
        if point.bits > _BITS:
            raise ValueError(f"frame_size times num_frames is {point.bits:.3g} bits; {_BITS:.3g} is the most")
        return point


def run(params: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """Simulate an item.

    Returns:
        `bits` and `bit_errors` as exact integers, and `kernel`, which names method, code and its version.

    Raises:
        ValueError: a parameter is wrong.
    """
    point = Point.from_params(params)
    return {
        "bits": point.bits,
        "bit_errors": count_errors(point, context.item, _kernels),
        "kernel": f"{point.method}/{_kernels.version}",
    }


def count_errors(point: Point, item: int, kernel: kernels.Kernels) -> int:
    """Bit errors of an item: the same number from every kernel, on every machine."""
    batches = streams.batches(seed=point.seed, item=item, bits=point.bits)
    if point.method == "decision":
        threshold = np.uint64(int(theory.bit_error_rate(point.ebn0_db) * 2.0**64))
        return sum(int(kernel.decision(batch.state, batch.keys, batch.bits, threshold)) for batch in batches)
    deviation = np.float32(theory.noise_deviation(point.ebn0_db))
    return sum(int(kernel.waveform(batch.state, batch.keys, batch.bits, deviation)) for batch in batches)


def _whole_number(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}; a whole number of at least {least} is expected")

"""The results of a job: points beside what theory says, and what they were made of."""

import dataclasses
from collections.abc import Mapping, Sequence

from winbatch.results import ItemFailure


@dataclasses.dataclass(frozen=True)
class CurvePoint:
    """A point of the curve.

    Attributes:
        ebn0_db: energy per bit over noise density, in dB.
        bits: simulated at it.
        bit_errors: among them; by `importance`, before they are weighted.
        ber: their ratio, or the weighted estimate.
        ci95: bounds of its 95 % confidence interval; without an error the interval is one-sided.
        theory: what it should be.
        method: `waveform`, `decision` or `importance`.
        modulation: one of `MODULATIONS`.
        channel: one of `CHANNELS`.
    """

    ebn0_db: float
    bits: int
    bit_errors: int
    ber: float
    ci95: tuple[float, float]
    theory: float
    method: str
    modulation: str = "bpsk"
    channel: str = "awgn"


@dataclasses.dataclass(frozen=True)
class Curve:
    """All points, by Eb/N0.

    Attributes:
        points: each point of which an item succeeded.
        kernels: how many items each kernel ran.
        items: how many there are in the points.
        failed: the items that failed for good, and are in no point.
    """

    points: Sequence[CurvePoint]
    kernels: Mapping[str, int]
    items: int
    failed: Sequence[ItemFailure] = ()

    @property
    def bits(self) -> int:
        """Give the bits of all points together."""
        return sum(point.bits for point in self.points)

    @property
    def bit_errors(self) -> int:
        """Give the bit errors of all points together."""
        return sum(point.bit_errors for point in self.points)

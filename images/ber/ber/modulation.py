"""How bits become symbols: square constellations with Gray labels on each of their two axes.

Levels of an axis lie 2 apart (…, -3, -1, 1, 3, …), so that the nearest decision threshold is 1 away from each symbol,
and labels of neighbouring levels differ in one bit.
"""

import dataclasses
import functools


@dataclasses.dataclass(frozen=True)
class Modulation:
    """A constellation.

    Attributes:
        label: for people.
        axes: bits on the in-phase and on the quadrature axis.
    """

    label: str
    axes: tuple[int, int]

    @property
    def bits(self) -> int:
        """Bits a symbol."""
        return sum(self.axes)

    @property
    def axis_bits(self) -> int:
        """Bits on an axis that carries any."""
        return self.axes[0]

    @property
    def bit_energy(self) -> float:
        """Energy a bit; a symbol at 1 from its threshold on one axis has 1."""
        return sum((float(1 << 2 * bits) - 1) / 3 for bits in self.axes) / self.bits

    @functools.cached_property
    def crossings(self) -> tuple[float, ...]:
        """How an axis' bit errors follow from distances.

        Returns:
            c such that the mean bit error rate is Σ c[m]·Q((2m+1)·d), where d is the distance to the nearest threshold
            in deviations of the noise.
        """
        bits = self.axis_bits
        levels = 1 << bits
        labels = [level ^ level >> 1 for level in range(levels)]
        sums = [0] * (levels - 1)
        for level in range(levels):
            for step in (1, -1):
                # From the symbol outwards, a bit is wrong and right again by turns, whenever a threshold turns it over.
                sign = [1] * bits
                for crossed in range(levels if step > 0 else level + 1):
                    here, there = level + step * crossed, level + step * (crossed + 1)
                    if not 0 <= there < levels:
                        break
                    turned = (labels[here] ^ labels[there]).bit_length() - 1
                    sums[crossed] += sign[turned]
                    sign[turned] = -sign[turned]
        return tuple(total / (levels * bits) for total in sums)


MODULATIONS = {
    "bpsk": Modulation("BPSK", (1, 0)),
    "qpsk": Modulation("QPSK", (1, 1)),
    "16qam": Modulation("16-QAM", (2, 2)),
    "64qam": Modulation("64-QAM", (3, 3)),
}

CHANNELS = {"awgn": "AWGN", "rayleigh": "flat Rayleigh fading"}

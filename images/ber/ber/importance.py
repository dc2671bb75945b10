"""Importance sampling: deep in the tail, where no simulation of every bit ever sees an error.

The noise of an axis is drawn around a threshold, at +d or -d deviations by chance, where d is the distance from a
symbol to its nearest threshold. About half of all samples then are errors, and each counts with the weight by which it
is likelier than it should be: f(x)/((f(x-d) + f(x+d))/2) = e^(d²/2)/cosh(d·x). Beyond the threshold, |x| = d + t, that
is 2·e^(-d²/2) times e^(-d·t)/(1 + e^(-2d·|x|)), which lies between 0 and 1.

This last factor is added up, times the number of bit errors, in units of 2⁻³²: sums of integers, so merging is exact.
It is made by sums and products alone, in a fixed order, so that each processor rounds alike. Only numpy does this: a
million samples are enough, and take a tenth of a second.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from ber.kernel_numpy import Lanes, Noise
from ber.modulation import MODULATIONS
from ber.streams import LANES, Batch

UNIT = 1 << 32

BLOCK_SAMPLES = 1 << 20

_LOG2E = 1.4426950408889634
# ln 2 in two parts, the first with so few bits that a multiple of it is exact.
_LN2_HIGH, _LN2_LOW = 0.693147180369123816490, 1.90821492927058770002e-10
_FACTORIALS = tuple(1.0 / math.factorial(n) for n in range(13))


@dataclasses.dataclass(frozen=True)
class Weights:
    """What samples of one axis came to.

    Attributes:
        errors: wrong bits, before they are weighted.
        total: Σ errors·weight of each sample, in units of `scale`/2³².
        squared: Σ (errors·weight)², in units of `scale`²/2³².
    """

    errors: int
    total: int
    squared: int


def distance(ratio: float, bit_energy: float) -> float:
    """From a symbol to its nearest threshold, in deviations of the noise, at Eb/N0 = `ratio`."""
    return math.sqrt(2.0 * ratio / bit_energy)


def scale(far: float) -> float:
    """The largest weight of an error, 2·e^(-d²/2)."""
    return 2.0 * math.exp(-far * far / 2.0)


def sample(batch: Batch, modulation: str, far: float) -> Weights:
    """Sample one axis.

    Args:
        batch: blocks of `batch.bits` samples each, not more than `BLOCK_SAMPLES`.
        modulation: one of `MODULATIONS`.
        far: the distance d.
    """
    bits = MODULATIONS[modulation].axis_bits
    lanes = Lanes(batch.state)
    noise = Noise(batch.keys, np.float32(1.0))
    radius, word, data = (lanes.words() for _ in range(3))
    pairs = -(-batch.bits // 2)
    errors = total = squared = 0
    for start in range(0, pairs, LANES):
        for words in (radius, word, data):
            lanes.draw(words)
        for number, normal in enumerate(noise.samples(radius, word, start)):
            label = (data >> np.uint32(8 * number)) & np.uint32((1 << bits) - 1)
            side = (data >> np.uint32(8 * number + 7)) & np.uint32(1)
            x = normal.astype(np.float64) + (1.0 - 2.0 * side) * far
            wrong = np.bitwise_count(label ^ _received(label, x / far, bits)).astype(np.float64)
            by_block = wrong.reshape(-1, LANES)
            by_block[:, max(0, min(LANES, (batch.bits + 1 - number) // 2 - start)) :] = 0.0
            beyond = np.abs(x)
            # At and beyond the threshold, where errors are, the first exponent is not positive.
            weight = (
                wrong * _exponential(np.minimum((far - beyond) * far, 0.0)) / (1.0 + _exponential(-2.0 * far * beyond))
            )
            errors += int(wrong.sum())
            total += int(np.rint(weight * UNIT).astype(np.int64).sum())
            squared += int(np.rint(weight * weight * UNIT).astype(np.int64).sum())
    return Weights(errors, total, squared)


def estimate(total: int, squared: int, bits: int, modulation: str, far: float) -> tuple[float, float]:
    """The bit error rate and its standard error.

    Args:
        total: of `Weights`, of all samples.
        squared: likewise.
        bits: that the samples carried.
        modulation: one of `MODULATIONS`.
        far: the distance d.
    """
    axis = MODULATIONS[modulation].axis_bits
    samples = bits / axis
    mean = total / UNIT / samples
    variance = max(0.0, squared / UNIT / samples - mean * mean)
    factor = scale(far) / axis
    return factor * mean, factor * math.sqrt(variance / samples)


def _received(label: NDArray[np.uint32], noise: NDArray[np.float64], bits: int) -> NDArray[np.uint32]:
    """The label that is decided on when noise, in units of the distance to a threshold, is added to a level."""
    level = label ^ (label >> np.uint32(1)) ^ (label >> np.uint32(2))
    # Level n lies in the middle of [n, n+1) here.
    place = np.clip(level + 0.5 + 0.5 * noise, 0.0, (1 << bits) - 0.5)
    decided = place.astype(np.uint32)
    found: NDArray[np.uint32] = decided ^ (decided >> np.uint32(1))
    return found


def _exponential(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """e^x for x of at most a few, to 1e-14 and the same on every processor, which libraries do not promise."""
    x = np.maximum(x, -700.0)
    power = np.floor(x * _LOG2E + 0.5)
    rest = x - power * _LN2_HIGH - power * _LN2_LOW
    value = np.full_like(rest, _FACTORIALS[-1])
    for factor in _FACTORIALS[-2::-1]:
        value = value * rest + factor
    scaled: NDArray[np.float64] = np.ldexp(value, power.astype(np.int32))
    return scaled

"""What the simulation must find: coherent detection in additive white Gaussian noise, with and without Rayleigh fading.

Gray-labelled square constellations are exact here, not bounded by the nearest neighbour: a bit error rate is a sum of
Q functions, one a threshold distance (`Modulation.crossings`), and fading averages each of them over its gain.
"""

import math

from ber.modulation import MODULATIONS


def ebn0(ebn0_db: float) -> float:
    """Energy per bit over noise density, as a ratio, from decibels."""
    return math.pow(10.0, ebn0_db / 10.0)


def bit_error_rate(ebn0_db: float, modulation: str = "bpsk", channel: str = "awgn") -> float:
    """Probability of a bit error; of BPSK over AWGN 0.5·erfc(√(Eb/N0)).

    Args:
        ebn0_db: energy per bit over noise density, in dB; with fading, its mean.
        modulation: one of `MODULATIONS`.
        channel: `awgn`, or `rayleigh`: an independent gain a symbol, known to the receiver.

    Relative accuracy is that of double precision also far out in the tail; without fading it reaches 0 beyond 28 dB.
    """
    kind = MODULATIONS[modulation]
    ratio = ebn0(ebn0_db) / kind.bit_energy
    rate = _faded if channel == "rayleigh" else _steady
    return math.fsum(part * rate((2 * step + 1) ** 2 * ratio) for step, part in enumerate(kind.crossings))


def noise_deviation(ebn0_db: float, modulation: str = "bpsk") -> float:
    """Standard deviation √(N0/2) of the noise on an axis, in units of the distance to the nearest threshold."""
    return math.sqrt(0.5 * MODULATIONS[modulation].bit_energy / ebn0(ebn0_db))


def _steady(ratio: float) -> float:
    """Q(√(2·ratio))."""
    return 0.5 * math.erfc(math.sqrt(ratio))


def _faded(ratio: float) -> float:
    """The mean of Q(√(2·gain·ratio)) over a gain of exponential distribution with mean 1: 0.5·(1 - √(r/(1+r)))."""
    return 0.5 / (1.0 + ratio) / (1.0 + math.sqrt(ratio / (1.0 + ratio)))

"""What the simulation must find: coherent BPSK over additive white Gaussian noise."""

import math


def ebn0(ebn0_db: float) -> float:
    """Energy per bit over noise density, as a ratio, from decibels."""
    return math.pow(10.0, ebn0_db / 10.0)


def bit_error_rate(ebn0_db: float) -> float:
    """Probability of a bit error, 0.5·erfc(√(Eb/N0)).

    Relative accuracy is that of double precision also far out in the tail; it reaches 0 beyond about 28 dB.
    """
    return 0.5 * math.erfc(math.sqrt(ebn0(ebn0_db)))


def noise_deviation(ebn0_db: float) -> float:
    """Standard deviation √(N0/2) of the noise on a sample, for symbols ±1 (Eb = 1)."""
    return math.sqrt(0.5 / ebn0(ebn0_db))

"""The confidence interval of a bit error rate, after Clopper and Pearson.

It is exact: neither bound is passed more often than it says, while approximations are too narrow just where bit error
rates are measured, at a handful of errors. Its bounds are quantiles of a beta distribution. They are found by
summing the density over a fine grid, relative to its own peak: that takes the same few milliseconds for 1 error as for
10¹⁰, and no gamma function whose rounding grows with the count.
"""

import math

import numpy as np

SPAN = 2 * 1.959963984540054
"""Width of a 95 % interval of a normal estimate, in its standard errors."""

_GRID = 200_001
_REACH = 40.0  # standard deviations on each side; what is left out is below e⁻⁴⁰


def design_effect(errors: int, squared: int, symbols: float, bits: int) -> float:
    """How much larger the variance of a count is than that of as many independent bits; at least 1.

    Bits of a symbol share its noise and its gain. Symbols are independent, so their variance is what counts.

    Args:
        errors: wrong bits.
        squared: sum of the squares of each symbol's number of them.
        symbols: that carried them.
        bits: that they carried.
    """
    if errors in {0, bits}:
        return 1.0
    return max(1.0, (squared - errors * errors / symbols) / (errors * (1.0 - errors / bits)))


def relative_width(errors: int, squared: int, symbols: float) -> float:
    """Width of the 95 % interval over the rate, nearly: the normal one, which is enough to decide when to stop."""
    if errors == 0:
        return math.inf
    return SPAN * math.sqrt(max(0.0, squared - errors * errors / symbols)) / errors


def clustered_interval(errors: int, squared: int, symbols: float, bits: int) -> tuple[float, float]:
    """The 95 % interval where the errors of a symbol depend on each other, after Korn and Graubard.

    It is the exact interval of as many bits as would know as much if they were independent.
    """
    effect = design_effect(errors, squared, symbols, bits)
    return proportion_interval(errors / effect, bits / effect) if effect > 1.0 else proportion_interval(errors, bits)


def proportion_interval(successes: float, trials: float, *, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of the probability of success.

    At 0 successes nothing bounds it from below, so the interval is one-sided and all of the error probability lies
    above (about 3/trials at 95 %); likewise at `trials` successes. Both may be fractions, from 1 on.

    Raises:
        ValueError: there is no trial, or `successes` is not within 0 and `trials`.
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes of {trials} trials are no proportion")
    outside = 1.0 - confidence
    if successes == 0:
        return 0.0, -math.expm1(math.log(outside) / trials)
    if successes == trials:
        return math.exp(math.log(outside) / trials), 1.0
    failures = trials - successes
    return (
        _beta_quantile(outside / 2, successes, failures + 1),
        _beta_quantile(1.0 - outside / 2, successes + 1, failures),
    )


def _beta_quantile(probability: float, a: float, b: float) -> float:
    """Quantile of the beta distribution for a, b of at least 1: its density falls off from a single peak."""
    mean = a / (a + b)
    deviation = math.sqrt(mean * (b / (a + b)) / (a + b + 1))
    low = max(0.0, mean - _REACH * deviation)
    high = min(1.0, mean + _REACH * deviation)
    # Any point inside will do to measure from; the peak keeps the density between 0 and 1.
    peak = min(max((a - 1) / max(a + b - 2, 1), low), high)
    x = np.linspace(low, high, _GRID)
    logarithm = np.zeros(_GRID)
    with np.errstate(divide="ignore"):  # a density of 0 at a border of [0, 1]
        if a > 1:
            logarithm += (a - 1) * np.log1p((x - peak) / peak)
        if b > 1:
            logarithm += (b - 1) * np.log1p((peak - x) / (1.0 - peak))
    density = np.exp(logarithm)
    below = np.concatenate(([0.0], np.cumsum((density[1:] + density[:-1]) / 2)))
    return float(np.interp(probability, below / below[-1], x))

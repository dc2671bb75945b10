"""Statistical gates: 1e9 bits a modulation and channel by waveform, 1e10 a point by decision level, beside theory.

A right kernel misses a gate with a probability below 6e-7 (five deviations of a normal count, or the same probability
in a Poisson count's tails); seeds are fixed, so nothing flakes. Kernels that are 0.1 % off, or whose tail is cut, must
miss.
"""

import dataclasses
import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats

from ber import interval, kernel_numba, kernel_numpy, kernels, streams, theory
from ber.modulation import MODULATIONS
from ber.simulate import Point, Tally, count

NUMBA = kernels.named("numba")
GATE = 5.0
TAILS = 2 * stats.norm.sf(GATE)
FEW = 1000
"""Fewer expected errors than this are not normal enough."""


def point(ebn0_db, bits, method="waveform", modulation="bpsk", channel="awgn", **more):
    return Point(
        ebn0_db,
        frame_size=1,
        num_frames=bits,
        seed=20261122,
        method=method,
        modulation=modulation,
        channel=channel,
        **more,
    )


def simulated(where, items, kernel=NUMBA):
    """The sum of items, on both cores: kernels hold no GIL."""
    with ThreadPoolExecutor(2) as pool:
        tallies = list(pool.map(lambda item: count(where, item, kernel), range(items)))
    squared = None if tallies[0].squared is None else sum(tally.squared for tally in tallies)
    return Tally(sum(tally.bits for tally in tallies), sum(tally.errors for tally in tallies), squared)


def misses(tally, where):
    """Whether a count is further from theory than a right kernel's can be."""
    rate = theory.bit_error_rate(where.ebn0_db, where.modulation, where.channel)
    expected = tally.bits * rate
    if expected < FEW:
        return min(stats.poisson.cdf(tally.errors, expected), stats.poisson.sf(tally.errors - 1, expected)) < TAILS / 2
    kind = MODULATIONS[where.modulation]
    effect = 1.0
    if tally.squared is not None:
        effect = (tally.squared - tally.errors**2 / (tally.bits / kind.bits)) / (expected * (1 - rate))
    return abs(tally.errors - expected) > GATE * math.sqrt(expected * (1 - rate) * effect)


# Of each modulation and channel the point that shows most of a bias.
@pytest.mark.parametrize(
    ("modulation", "channel", "ebn0_db"),
    [
        ("bpsk", "awgn", 0.0),
        ("qpsk", "awgn", 6.0),
        ("16qam", "awgn", 4.0),
        ("64qam", "awgn", 8.0),
        ("bpsk", "rayleigh", 10.0),
        ("qpsk", "rayleigh", 0.0),
        ("16qam", "rayleigh", 15.0),
        ("64qam", "rayleigh", 10.0),
    ],
)
def test_a_billion_bits_of_waveform_are_the_theorys(modulation, channel, ebn0_db):
    where = point(ebn0_db, 504_000_000, modulation=modulation, channel=channel)
    tally = simulated(where, 2)
    assert tally.bits >= 10**9
    assert not misses(tally, where)


@pytest.mark.parametrize(
    ("modulation", "channel", "ebn0_db"),
    [
        *itertools.product(["bpsk"], ["awgn"], [4.0, 8.0, 10.0, 11.0]),
        ("16qam", "awgn", 12.0),
        ("64qam", "awgn", 16.0),
        ("64qam", "rayleigh", 40.0),
    ],
)
def test_other_points_of_waveform_are_the_theorys(modulation, channel, ebn0_db):
    where = point(ebn0_db, 50_400_000, modulation=modulation, channel=channel)
    assert not misses(simulated(where, 2), where)


@pytest.mark.parametrize("ebn0_db", [0.0, 4.0, 8.0, 10.0, 11.0, 12.0, 12.5])
def test_ten_billion_decisions_are_the_theorys(ebn0_db):
    where = point(ebn0_db, 5 * 10**9, "decision")
    assert not misses(simulated(where, 2), where)


@pytest.mark.parametrize("ebn0_db", [0.0, 4.0])
@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_noise_that_is_a_thousandth_off_misses(factor, ebn0_db):
    def biased(state, keys, bits, deviation):
        return kernel_numba.waveform(state, keys, bits, np.float32(deviation * factor))

    where = point(ebn0_db, 5 * 10**8)
    assert misses(simulated(where, 2, dataclasses.replace(NUMBA, waveform=biased)), where)


@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_symbols_whose_noise_is_a_thousandth_off_miss(factor):
    def biased(state, keys, bits, axis_i, axis_q, deviation, fading):
        return kernel_numba.symbols(state, keys, bits, axis_i, axis_q, np.float32(deviation * factor), fading)

    where = point(8.0, 504_000_000, modulation="16qam")
    assert misses(simulated(where, 2, dataclasses.replace(NUMBA, symbols=biased)), where)


@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_decisions_that_are_a_thousandth_off_miss(factor):
    def biased(state, bits, threshold):
        return kernel_numba.decision(state, bits, np.uint64(int(int(threshold) * factor)))

    where = point(0.0, 5 * 10**9, "decision")
    assert misses(simulated(where, 2, dataclasses.replace(NUMBA, decision=biased)), where)


def test_decisions_of_24_bits_lose_the_tail_and_miss():
    def cut(state, bits, threshold):
        return kernel_numba.decision(state, bits, np.uint64(int(threshold) >> 40 << 40))

    where = point(12.0, 5 * 10**9, "decision")
    assert misses(simulated(where, 2, dataclasses.replace(NUMBA, decision=cut)), where)


@pytest.mark.parametrize("cut", [False, True])
def test_noise_whose_tail_is_cut_misses(cut, monkeypatch, tail_batch):
    """As the seed's generator: one side ends at 5.17 deviations. Each pair far out stands for 65,536 pairs."""
    tail = kernel_numpy._tail

    def cut_tail(radius, word, more, deviation):
        first, second = tail(radius, word, more, deviation)
        most = np.float32(5.17 * deviation)
        return np.where(word & 4, np.minimum(first, most), first), np.where(word & 8, np.minimum(second, most), second)

    if cut:
        monkeypatch.setattr(kernel_numpy, "_tail", cut_tail)
    batch = tail_batch(1 << 12, seed=11)
    where = point(12.0, 1)
    errors = kernel_numpy.waveform(batch.state, batch.keys, batch.bits, np.float32(theory.noise_deviation(12.0)))
    assert misses(Tally(batch.bits * len(batch.keys) * 65536, errors), where) == cut


# Of a count that stops itself, with blocks drawn from their binomial distribution: how often does the interval hold the
# rate, and how far is the mean of the estimates from it?
@pytest.mark.parametrize("width", [0.1, 0.5])
def test_stopping_by_the_width_neither_biases_nor_narrows(width, monkeypatch):
    rng = np.random.default_rng(5)
    rate = theory.bit_error_rate(11.5)

    def drawn(state, bits, threshold):
        return int(rng.binomial(bits * len(state), rate))

    def unseeded(_seed, _item, blocks, bits):
        return streams.Batch(np.empty((len(blocks), 0)), np.empty(len(blocks)), bits)

    monkeypatch.setattr(streams, "_batch", unseeded)
    where = point(11.5, 1 << 40, "decision", relative_width=width)
    kernel = dataclasses.replace(NUMBA, decision=drawn)
    tallies = [count(where, item, kernel) for item in range(4000)]
    errors, bits = (np.array([getattr(tally, name) for tally in tallies]) for name in ("errors", "bits"))
    assert (interval.SPAN / np.sqrt(errors) <= width * 1.001).all()
    # Clopper and Pearson's interval, in the limit of small rates.
    inside = (stats.gamma.ppf(0.025, errors) / bits <= rate) & (rate <= stats.gamma.ppf(0.975, errors + 1) / bits)
    assert inside.mean() > 0.95 - GATE * math.sqrt(0.05 * 0.95 / len(tallies))
    estimates = errors / bits
    noise = GATE * estimates.std() / math.sqrt(len(tallies))
    assert abs(estimates.mean() / rate - 1) < 1 / (interval.SPAN / width) ** 2 + noise / rate

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats

from ber import theory


@given(st.floats(-50, 28))
def test_bit_error_rate_is_the_normal_tail(ebn0_db):
    expected = stats.norm.sf(math.sqrt(2 * 10 ** (ebn0_db / 10)))
    assert theory.bit_error_rate(ebn0_db) == pytest.approx(expected, rel=1e-9)


@given(st.floats(10, 27))
def test_bit_error_rate_keeps_its_digits_far_out(ebn0_db):
    # log_ndtr is computed by another series, which has no tail to lose.
    logarithm = special.log_ndtr(-math.sqrt(2 * 10 ** (ebn0_db / 10)))
    assert math.log(theory.bit_error_rate(ebn0_db)) == pytest.approx(logarithm, rel=1e-12)


def test_bit_error_rate_by_hand():
    # Q(3) from a table of the normal distribution.
    assert theory.bit_error_rate(10 * math.log10(4.5)) == pytest.approx(1.3498980316300946e-3, rel=1e-12)


@given(st.floats(-50, 50))
def test_noise_deviation_puts_the_threshold_where_the_theory_has_it(ebn0_db):
    # The symbol's distance from the decision, in deviations, is √(2·Eb/N0).
    assert 1 / theory.noise_deviation(ebn0_db) == pytest.approx(np.sqrt(2 * 10 ** (ebn0_db / 10)), rel=1e-12)


def cho_and_yoon(ratio, bits):
    """The exact rate of Gray-labelled square QAM after Cho and Yoon (IEEE Trans. Commun. 50, 2002), `bits` an axis."""
    levels = 1 << bits
    total = 0.0
    for k in range(1, bits + 1):
        for i in range(levels - (levels >> k)):
            place = i * 2 ** (k - 1) / levels
            sign = (-1) ** math.floor(place)
            weight = 2 ** (k - 1) - math.floor(place + 0.5)
            argument = (2 * i + 1) * math.sqrt(3 * 2 * bits * ratio / (2 * (levels**2 - 1)))
            total += sign * weight * special.erfc(argument) / levels
    return total / bits


@pytest.mark.parametrize(("modulation", "bits"), [("qpsk", 1), ("16qam", 2), ("64qam", 3)])
@given(ebn0_db=st.floats(-30, 25))
def test_square_constellations_are_those_of_the_literature(modulation, bits, ebn0_db):
    expected = cho_and_yoon(10 ** (ebn0_db / 10), bits)
    assert theory.bit_error_rate(ebn0_db, modulation) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("modulation", ["bpsk", "qpsk", "16qam", "64qam"])
@pytest.mark.parametrize("ebn0_db", [-10.0, 5.0, 20.0, 45.0])
def test_fading_is_the_mean_over_the_gain(modulation, ebn0_db):
    def density(gain):
        return math.exp(-gain) * theory.bit_error_rate(ebn0_db + 10 * math.log10(gain), modulation)

    near = 10 ** (-ebn0_db / 10)
    parts = [
        (0, 1e-3 * near),
        (1e-3 * near, near),
        (near, 30 * near),
        (30 * near, 300 * near),
        (300 * near, 3000 * near + 30),
    ]
    expected = sum(integrate.quad(density, low, high, epsrel=1e-9, limit=200)[0] for low, high in parts)
    assert theory.bit_error_rate(ebn0_db, modulation, "rayleigh") == pytest.approx(expected, rel=1e-6)

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

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

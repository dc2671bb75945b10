import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ber.interval import proportion_interval


@given(data=st.data(), trials=st.integers(2, 10**8))
@settings(max_examples=60)
def test_bounds_are_scipys_beta_quantiles(data, trials):
    errors = data.draw(st.integers(1, min(trials - 1, 10**5)) | st.integers(1, trials - 1))
    low, high = proportion_interval(errors, trials)
    assert low == pytest.approx(stats.beta.ppf(0.025, errors, trials - errors + 1), rel=2e-6)
    assert high == pytest.approx(stats.beta.ppf(0.975, errors + 1, trials - errors), rel=2e-6)


@pytest.mark.parametrize("errors", [1, 2, 30, 1000, 10**6, 2 * 10**9])
def test_bounds_at_a_whole_jobs_counts(errors):
    # scipy's beta quantile breaks down here for some counts, so: the gamma limit, which is off by 1/bits only, or for
    # many errors the bounds' distance in deviations.
    bits = 30_720_000_000
    low, high = proportion_interval(errors, bits)
    if errors <= 1000:
        assert low == pytest.approx(stats.gamma.ppf(0.025, errors) / bits, rel=1e-6)
        assert high == pytest.approx(stats.gamma.ppf(0.975, errors + 1) / bits, rel=1e-6)
    deviation = math.sqrt(errors * (1 - errors / bits)) / bits
    assert (high - low) / (2 * 1.959964 * deviation) == pytest.approx(1, abs=0.6 / math.sqrt(errors))


@pytest.mark.parametrize("trials", [1, 40, 10**10])
def test_no_error_gives_a_one_sided_bound(trials):
    low, high = proportion_interval(0, trials)
    assert low == 0
    # At the bound, no error at all has a probability of 5 %.
    assert math.exp(trials * math.log1p(-high)) == pytest.approx(0.05) if high < 1 else trials == 1


def test_nothing_but_errors_mirrors_no_error():
    assert proportion_interval(40, 40) == pytest.approx([1 - bound for bound in proportion_interval(0, 40)[::-1]])


@given(st.integers(2, 10**6), st.data())
@settings(max_examples=30)
def test_errors_and_their_opposite_mirror(trials, data):
    errors = data.draw(st.integers(0, trials))
    low, high = proportion_interval(errors, trials)
    assert (1 - high, 1 - low) == pytest.approx(proportion_interval(trials - errors, trials), abs=1e-9)
    assert low <= errors / trials <= high


@pytest.mark.parametrize("trials", [10, 60])
def test_coverage_is_at_least_what_it_says(trials):
    bounds = np.array([proportion_interval(errors, trials) for errors in range(trials + 1)])
    border = 1 - 0.025 ** (1 / trials)  # within it, the one-sided bound of no error trades 2.5 % for a tighter limit
    for probability in np.linspace(0.001, 0.999, 997):
        inside = (bounds[:, 0] <= probability) & (probability <= bounds[:, 1])
        coverage = stats.binom.pmf(np.arange(trials + 1), trials, probability)[inside].sum()
        assert coverage >= (0.95 if border < probability < 1 - border else 0.925) - 1e-9


@pytest.mark.parametrize(("errors", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_what_is_no_proportion_is_refused(errors, trials):
    with pytest.raises(ValueError, match="no proportion"):
        proportion_interval(errors, trials)

"""The Octave scripts by themselves: their random numbers, their counts, what they refuse.

A right kernel fails one of the statistical gates with a probability below 1e-6, and the seeds are fixed.
"""

import hashlib
import json
import math

import numpy as np
import pytest
from scipy import stats

from ber import theory

BELOW = 1e-7  # probability with which a right count lies outside a gate, on each side


def within(count, mean):
    """Whether a count of rare events is what a mean of `mean` gives, in both directions."""
    return stats.poisson.cdf(count, mean) > BELOW and stats.poisson.sf(count - 1, mean) > BELOW


@pytest.mark.parametrize("ebn0_db", [-3.0, 0.0, 4.0, 8.0])
def test_errors_are_as_frequent_as_theory_says(simulate, tmp_path, ebn0_db):
    code, said = simulate(ebn0_db=ebn0_db, num_frames=1000, frame_size=8192)
    assert (code, said) == (0, "")
    values = json.loads((tmp_path / "values.json").read_text())
    assert values["bits"] == 8_192_000
    rate = theory.bit_error_rate(ebn0_db)
    assert stats.binom.cdf(values["bit_errors"], values["bits"], rate) > BELOW
    assert stats.binom.sf(values["bit_errors"] - 1, values["bits"], rate) > BELOW
    assert values["kernel"].startswith("waveform/octave-")


def tails(octave, choose, count=140 * 10**6):
    """How many of `count` normal numbers lie beyond -5.17 and 5.17 deviations, once a generator is chosen."""
    block = 10**6
    code = (
        f"{choose}; low = 0; high = 0; for k = 1:{count // block}, x = randn(1, {block});"
        ' low = low + sum(x < -5.17); high = high + sum(x > 5.17); end; printf("%d %d", low, high)'
    )
    low, high = map(int, octave(code))
    mean = count * math.erfc(5.17 / math.sqrt(2)) / 2
    return within(low, mean), within(high, mean)


def test_the_noise_has_both_tails(octave):
    assert tails(octave, 'use_stream("1", "0")') == (True, True)


def test_the_generator_of_old_has_no_lower_tail(octave):
    assert tails(octave, 'randn("seed", 1)') == (False, True)


def test_the_bits_are_mt19937s_from_the_hash_that_is_documented(octave):
    found = octave('use_stream("20261122", "7"); printf("%.17g\\n", rand(1, 5))')
    digest = hashlib.sha256(b"ber-octave/1 bits 20261122 7").hexdigest()
    words = [int(digest[at : at + 8], 16) for at in range(0, 64, 8)]
    # numpy's has the same state by the same init_by_array; Octave adds 0.4 to the 53 bits.
    assert list(map(float, found)) == pytest.approx(np.random.RandomState(words).random_sample(5), abs=1e-15)


def test_streams_have_nothing_in_common(octave):
    count = 20_000
    streams = [("rand", 1, 0), ("randn", 1, 0), ("randn", 1, 1), ("randn", 2, 0), ("randn", 1, 10), ("randn", 11, 0)]
    rows = [octave(f'use_stream("{s}", "{i}"); printf("%.9g\\n", {kind}(1, {count}))') for kind, s, i in streams]
    correlated = np.corrcoef(np.array(rows, dtype=float)) - np.eye(len(streams))
    # 15 pairs, each beyond 6 deviations with a probability of 2e-9.
    assert np.abs(correlated).max() < 6 / math.sqrt(count)


def test_a_seed_is_told_apart_in_every_digit(octave):
    first, other = (octave(f'use_stream("{seed}", "0"); printf("%.17g", rand())') for seed in (2**63 - 1, 2**63 - 2))
    assert first != other


def test_counts_do_not_depend_on_blocks(octave):
    whole = octave('use_stream("1", "0"); printf("%d", count_errors(2, 100000))')
    parts = 'use_stream("1", "0"); n = 0; for k = 1:10, n = n + count_errors(2, 10000); end; printf("%d", n)'
    assert octave(parts) == whole


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"ebn0_db": "x"}, "ebn0_db is 'x'; a number from -50 to 50 is expected"),
        ({"ebn0_db": "1e999"}, "ebn0_db is '1e999'; a number from -50 to 50 is expected"),
        ({"ebn0_db": "NaN"}, "ebn0_db is 'NaN'; a number from -50 to 50 is expected"),
        ({"ebn0_db": "2i"}, "ebn0_db is '2i'; a number from -50 to 50 is expected"),
        ({"ebn0_db": -51}, "ebn0_db is '-51'; a number from -50 to 50 is expected"),
        ({"num_frames": 0}, "num_frames is '0'; a number from 1 to 9.0072e+15 is expected"),
        ({"frame_size": 1.5}, "frame_size is 1.5; a whole number is expected"),
        (
            {"num_frames": 2**40, "frame_size": 2**40},
            "num_frames times frame_size is 1.20893e+24 bits; 2^53 is the most",
        ),
        ({"seed": -1}, "seed is '-1'; a whole number from 0 on is expected"),
        ({"item": "0x1"}, "item is '0x1'; a whole number from 0 on is expected"),
        ({"item": None, "seed": None}, "parameter seed, item is missing"),
        (
            {"x": 1},
            "unknown parameter 'x=1'; name=value is expected, of values, seed, item, ebn0_db, num_frames, frame_size",
        ),
        ({"values": "/nowhere/values.json"}, "/nowhere/values.json cannot be written: No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_line_and_no_success(simulate, tmp_path, changes, line):
    assert simulate(**changes) == (1, f"error: {line}\n")
    assert list(tmp_path.iterdir()) == []

"""The kernels against theory.

Seeds are fixed, so nothing here flakes. Were they not, a right kernel would miss a gate of `GATE` deviations with a
probability below 6e-7; each gate is narrow enough that the faults named beside it miss it.
"""

import dataclasses
import math
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ber import importance, kernel_numba, kernels, simulate, streams, theory
from ber.kernels import Kernels, numpy_kernels
from ber.modulation import CHANNELS, MODULATIONS
from ber.simulate import Point, count

GATE = 5.0

NUMBA = Kernels("numba", kernel_numba.waveform, kernel_numba.symbols, kernel_numba.decision)
NUMPY = numpy_kernels()


def point(ebn0_db, bits, method="waveform", seed=1):
    return Point(ebn0_db=ebn0_db, frame_size=1, num_frames=bits, seed=seed, method=method)


def count_errors(where, item, kernel):
    return count(where, item, kernel).errors


def deviations(errors, bits, probability):
    """How far a count is from its expectation, in its own standard deviations."""
    return (errors - bits * probability) / math.sqrt(bits * probability * (1 - probability))


# 1e8 bits at 0 to 6 dB give 2.4e5 errors and more: a bias of 1 % is ten deviations and more.
@pytest.mark.parametrize("method", ["waveform", "decision"])
@pytest.mark.parametrize("ebn0_db", [-50.0, -10.0, 0.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0])
def test_error_rate_is_the_theorys(method, ebn0_db):
    bits = 100_000_000
    errors = count_errors(point(ebn0_db, bits, method), item=3, kernel=NUMBA)
    assert abs(deviations(errors, bits, theory.bit_error_rate(ebn0_db))) < GATE


@pytest.mark.parametrize("factor", [0.998, 1.002])
@pytest.mark.parametrize("ebn0_db", [0.0, 2.0, 4.0])
def test_noise_that_is_a_fifth_of_a_percent_off_is_found(factor, ebn0_db):
    def biased(state, keys, bits, deviation):
        return kernel_numba.waveform(state, keys, bits, np.float32(deviation * factor))

    bits = 100_000_000
    errors = count_errors(point(ebn0_db, bits), item=3, kernel=dataclasses.replace(NUMBA, waveform=biased))
    assert abs(deviations(errors, bits, theory.bit_error_rate(ebn0_db))) > GATE


def test_an_error_probability_that_is_one_percent_off_is_found():
    def biased(state, bits, threshold):
        return kernel_numba.decision(state, bits, np.uint64(int(threshold) * 101 // 100))

    bits = 100_000_000
    kernel = dataclasses.replace(NUMBA, decision=biased)
    errors = count_errors(point(5.0, bits, "decision"), item=3, kernel=kernel)
    assert abs(deviations(errors, bits, theory.bit_error_rate(5.0))) > GATE


# Beyond 4.71 deviations all samples come from tail pairs, one pair in 65,536; here every pair is one. 8.4e6 pairs are
# therefore as good as 1.1e12 bits: 1e4 errors at 12 dB and 140 at 13 dB. A tail cut off at 5.63 deviations on one side
# (the seed's fault) would halve the count at 12 dB, fifty deviations.
@pytest.mark.parametrize("ebn0_db", [10.5, 11.0, 11.5, 12.0, 12.5, 13.0])
def test_the_far_tail_is_all_there(ebn0_db, tail_batch):
    batch = tail_batch(1 << 15, seed=9)
    bits = batch.bits * len(batch.keys)
    errors = kernel_numba.waveform(batch.state, batch.keys, batch.bits, np.float32(theory.noise_deviation(ebn0_db)))
    probability = theory.bit_error_rate(ebn0_db) * 65536
    assert abs(deviations(errors, bits, probability)) < GATE
    assert abs(deviations(errors // 2, bits, probability)) > GATE  # with one of the two tails only


def test_no_sample_of_the_bulk_lies_beyond_the_tails_border(tail_batch):
    # The largest radius of a pair that is no tail pair: √(-2·ln 0.5¹⁶).
    border_db = 10 * math.log10(-math.log(2.0**-16))
    without_tail = tail_batch(64, seed=5)
    without_tail.state[:, 3] = np.random.default_rng(6).integers(0, 1 << 32, (64, streams.LANES), np.uint32)
    args = (without_tail.keys, without_tail.bits, np.float32(theory.noise_deviation(border_db + 0.01)))
    assert kernel_numba.waveform(without_tail.state, *args) == 0


def test_both_kernels_agree_in_the_far_tail(tail_batch):
    deviation = np.float32(theory.noise_deviation(10.0))
    counts = [kernel.waveform(*_args(tail_batch(400, seed=2), deviation)) for kernel in (NUMBA, NUMPY)]
    assert counts[0] == counts[1] > 0


def _args(batch, extra):
    return batch.state, batch.keys, batch.bits, extra


@given(
    ebn0_db=st.floats(-50, 14),
    bits=st.integers(1, 30 * streams.LANES),
    seed=st.integers(0, 2**63),
    item=st.integers(0, 10**6),
    method=st.sampled_from(["waveform", "decision"]),
    modulation=st.sampled_from(list(MODULATIONS)),
    channel=st.sampled_from(list(CHANNELS)),
)
@settings(max_examples=150)
def test_numpy_counts_what_numba_counts(ebn0_db, bits, seed, item, method, modulation, channel):
    where = Point(ebn0_db, 1, bits, seed, method, modulation, channel)
    tally = count(where, item, NUMBA)
    assert tally == count(where, item, NUMPY)
    assert tally.bits == bits


@pytest.mark.parametrize("modulation", ["bpsk", "64qam"])
@pytest.mark.parametrize("ebn0_db", [-10.0, 6.0, 14.0, 20.0, 26.0])
def test_importance_sampling_finds_rates_that_no_count_finds(modulation, ebn0_db):
    where = Point(ebn0_db, 1, 1_000_000, 4, "importance", modulation)
    tally = count(where, 0, NUMPY)
    rate, error = importance.estimate(*tally.weights, tally.bits, modulation, where.distance)
    assert abs(rate - theory.bit_error_rate(ebn0_db, modulation)) < GATE * error
    assert error < 0.015 * rate


def test_importance_sampling_of_a_constellation_that_is_off_is_found():
    """It runs the receiver, not the formula: a constellation that is scaled wrongly shows."""
    where = Point(20.0, 1, 3_000_000, 4, "importance", "bpsk")
    tally = count(where, 0, NUMPY)
    wrong = where.distance * 1.002
    rate, error = importance.estimate(*tally.weights, tally.bits, "bpsk", wrong)
    assert abs(rate - theory.bit_error_rate(20.0)) > GATE * error


def test_the_exponential_is_the_libraries():
    x = np.concatenate([-np.geomspace(1e-9, 700, 10_000), [0.0, -1000.0]])
    assert importance._exponential(x) == pytest.approx(np.exp(np.maximum(x, -700)), rel=1e-14)


@pytest.mark.parametrize("method", ["waveform", "decision", "importance"])
def test_a_relative_width_ends_an_item_early_and_always_at_the_same_place(method, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK_BITS", 1 << 14)
    monkeypatch.setattr(simulate, "_DECISIONS", 1 << 14)
    monkeypatch.setattr(importance, "BLOCK_SAMPLES", 1 << 10)
    where = Point(4.0, 1, 1 << 30, 9, method, relative_width=0.1)
    tallies = [count(where, 0, kernel) for kernel in (NUMBA, NUMPY)]
    assert tallies[0] == tallies[1]
    assert tallies[0].bits < 1 << 20
    assert simulate._is_narrow(where, tallies[0])
    full = dataclasses.replace(where, relative_width=0.0, num_frames=tallies[0].bits)
    assert count(full, 0, NUMBA) == tallies[0]  # the same blocks, up to where it ended


@pytest.mark.parametrize("method", ["waveform", "decision"])
def test_numpy_counts_what_numba_counts_over_block_borders(method, monkeypatch):
    monkeypatch.setattr(streams, "BLOCK_BITS", 1 << 14)
    where = point(6.0, 37 * (1 << 14) + 4321, method)
    assert count_errors(where, 0, NUMBA) == count_errors(where, 0, NUMPY) > 1000


@pytest.mark.parametrize("method", ["waveform", "decision"])
@given(bits=st.integers(1, 2000), seed=st.integers(0, 100))
@settings(max_examples=60)
def test_one_bit_more_is_one_error_more_at_most(method, bits, seed):
    here, there = (count_errors(point(0.0, n, method, seed), 0, NUMBA) for n in (bits, bits + 1))
    assert there - here in (0, 1)


# Results of another release are merged with these only while they are the same: a change here needs a new VERSION.
@pytest.mark.parametrize(
    ("ebn0_db", "method", "errors"),
    [(0.0, "waveform", 3932571), (8.0, "waveform", 9496), (0.0, "decision", 3933630), (8.0, "decision", 9604)],
)
def test_counts_of_this_version(ebn0_db, method, errors):
    assert count_errors(point(ebn0_db, 50_000_001, method, seed=20261122), 7, NUMBA) == errors


@pytest.mark.parametrize(
    ("modulation", "channel", "errors", "squared"),
    [
        ("qpsk", "awgn", 9496, None),
        ("bpsk", "rayleigh", 1770757, None),
        ("16qam", "awgn", 463427, 471903),
        ("64qam", "rayleigh", 5210037, 9636213),
    ],
)
def test_counts_of_this_version_with_other_symbols(modulation, channel, errors, squared):
    tally = count(Point(8.0, 1, 50_000_001, 20261122, "waveform", modulation, channel), 7, NUMBA)
    assert (tally.errors, tally.squared) == (errors, squared)


def test_items_seeds_and_blocks_have_streams_of_their_own(monkeypatch):
    monkeypatch.setattr(streams, "BLOCK_BITS", 1000)
    states = [
        state.tobytes()
        for seed in (1, 2)
        for item in (0, 1)
        for batch in streams.batches(seed=seed, item=item, bits=20_500)
        for state in batch.state
    ]
    assert len(states) == len(set(states)) == 2 * 2 * 21


@given(bits=st.integers(1, 40_000))
def test_blocks_hold_all_bits(bits):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "BLOCK_BITS", 1000)
        parts = list(streams.batches(seed=1, item=0, bits=bits))
    assert sum(batch.bits * len(batch.keys) for batch in parts) == bits
    assert max(len(batch.keys) for batch in parts) <= streams.BATCH_BLOCKS


def test_neither_threads_nor_their_order_matter():
    where = point(4.0, 3_000_001)
    alone = [count_errors(where, item, NUMBA) for item in range(12)]
    order = random.Random(1).sample(range(12), 12)
    with ThreadPoolExecutor(4) as pool:
        together = dict(zip(order, pool.map(lambda item: count_errors(where, item, NUMBA), order), strict=True))
    assert [together[item] for item in range(12)] == alone
    assert len(set(alone)) > 6  # they are not one stream


def test_a_kernel_lets_other_threads_run():
    thread = threading.Thread(target=count, args=(point(4.0, 16 * streams.BLOCK_BITS), 0, NUMBA))
    thread.start()
    turns = 0
    while thread.is_alive():
        time.sleep(0.001)
        turns += 1
    # The call takes some 170 ms; were the GIL held, there would be two or three turns.
    assert turns > 8


def test_without_a_place_for_a_cache_the_kernel_compiles_all_the_same():
    names = {}
    exec(compile("def twice(n):\n    return n + n", "<nowhere>", "exec"), names)
    assert kernel_numba._compile(names["twice"], "int64(int64)")(21) == 42


COMPILE = """
import sys
from pathlib import Path
sys.prefix = sys.argv[1]
from ber import kernel_numba
print(*sorted(kernel_numba.waveform.stats.cache_hits.values()))
"""


@pytest.mark.slow
def test_what_numba_compiled_outlives_the_folder_of_its_code_and_no_change_of_it(tmp_path):
    """A container's code lies in a folder of its own; constants of other modules are compiled in."""
    prefix = tmp_path / "prefix"

    def hits(name, extra=""):
        code = tmp_path / name / "ber"
        shutil.copytree(Path(kernel_numba.__file__).parent, code, ignore=shutil.ignore_patterns("__pycache__"))
        constants = code / "gaussian.py"
        constants.write_text(constants.read_text() + extra)
        environ = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
        command = [sys.executable, "-B", "-c", COMPILE, str(prefix)]
        done = subprocess.run(command, cwd=tmp_path / name, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert [hits("first"), hits("second"), hits("third", "# other\n")] == [[], ["1"], []]
    assert not list((tmp_path / "first").rglob("*.nbi"))


WITHOUT_NUMBA = """
import sys
sys.modules["{missing}"] = None
from ber import simulate
class Context:
    item = 3
for extra in {params}:
    try:
        print(simulate.run({{"ebn0_db": 2.0, "frame_size": 1000, "num_frames": 100, "seed": 4, **extra}}, Context()))
    except RuntimeError as error:
        print(repr(str(error)))
"""


@pytest.mark.parametrize("missing", ["numba", "numba.core.caching"])
def test_without_numba_items_fail_unless_they_ask_for_the_slow_kernel(missing):
    params = [{}, {"kernel": "numba"}, {"kernel": "numpy"}, {"method": "importance"}]
    code = WITHOUT_NUMBA.format(missing=missing, params=params)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    default, fast, slow, importance = [eval(line) for line in done.stdout.splitlines()]
    assert default == fast
    assert f"import of {missing} halted" in default
    assert "kernel=numpy" in default
    assert "\n" not in default
    expected = count_errors(Point(2.0, 1000, 100, seed=4), 3, NUMBA)
    assert slow == {"bits": 100_000, "bit_errors": expected, "kernel": "waveform/numpy/1"}
    assert importance["kernel"] == "importance/numpy/1"


def test_a_kernel_is_named_by_those_who_ask():
    assert [kernels.named(name).name for name in kernels.NAMES] == ["numba", "numpy"]
    with pytest.raises(ValueError, match="kernel is 'cuda'; it must be one of numba, numpy"):
        Point.from_params({"ebn0_db": 1.0, "frame_size": 1, "num_frames": 1, "seed": 0, "kernel": "cuda"})

import math

import pytest

from ber import simulate, theory
from winbatch.workload import Context

GOOD = {"ebn0_db": 4.0, "frame_size": 4096, "num_frames": 500, "seed": 1234, "method": "waveform"}


def context(tmp_path, item=0):
    return Context(
        item=item, job="j", folder=tmp_path / "out", read_results=lambda _name: iter(()), read_failures=lambda _name: ()
    )


def test_an_item(tmp_path):
    values = simulate.run(GOOD, context(tmp_path))
    assert values["bits"] == 2_048_000
    assert values["kernel"] == "waveform/numba/1"
    expected = values["bits"] * theory.bit_error_rate(4.0)
    assert abs(values["bit_errors"] - expected) < 5 * math.sqrt(expected)
    assert not (tmp_path / "out").exists()


def test_a_retry_is_the_same_and_another_item_is_not(tmp_path):
    first, again, other = (simulate.run(GOOD, context(tmp_path, item)) for item in (5, 5, 6))
    assert first == again
    assert first["bit_errors"] != other["bit_errors"]


def test_the_decision_method(tmp_path):
    values = simulate.run({**GOOD, "method": "decision"}, context(tmp_path))
    assert values["kernel"] == "decision/numba/2"
    expected = values["bits"] * theory.bit_error_rate(4.0)
    assert abs(values["bit_errors"] - expected) < 5 * math.sqrt(expected)


def test_symbols_bring_their_squares_and_importance_its_weights(tmp_path):
    values = simulate.run({**GOOD, "modulation": "16qam", "channel": "rayleigh"}, context(tmp_path))
    assert values["bit_errors"] < values["bit_errors_squared"] < 4 * values["bit_errors"]
    values = simulate.run({**GOOD, "method": "importance", "ebn0_db": 14.0}, context(tmp_path))
    assert values["kernel"] == "importance/numpy/1"
    assert 0 < values["weight_squared"] < values["weight"] < values["bit_errors"] << 32


@pytest.mark.parametrize(("width", "why"), [(0.5, "width"), (0.0001, "budget")])
def test_a_relative_width_says_what_ended_the_item(tmp_path, width, why):
    assert simulate.run({**GOOD, "relative_width": width}, context(tmp_path))["stopped"] == why


def test_numbers_are_plain_integers(tmp_path):
    values = simulate.run(GOOD, context(tmp_path))
    assert type(values["bits"]) is type(values["bit_errors"]) is int


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"frame_size": 0}, "frame_size is 0; a whole number of at least 1"),
        ({"num_frames": -1}, "num_frames is -1; a whole number of at least 1"),
        ({"num_frames": 2.0}, "num_frames is 2.0; a whole number"),
        ({"frame_size": True}, "frame_size is True; a whole number"),
        ({"frame_size": "8"}, "frame_size is '8'; a whole number"),
        ({"num_frames": 10**13}, "bits; 9.01e\\+15 is the most"),
        ({"seed": -5}, "seed is -5; a whole number of at least 0"),
        ({"ebn0_db": math.nan}, "ebn0_db is nan; a finite number"),
        ({"ebn0_db": math.inf}, "ebn0_db is inf; a finite number"),
        ({"ebn0_db": "4"}, "ebn0_db is '4'; a finite number"),
        ({"ebn0_db": True}, "ebn0_db is True; a finite number"),
        ({"ebn0_db": 51}, "must lie between -50 and 50"),
        ({"method": "magic"}, "method is 'magic'; it must be one of waveform, decision, importance"),
        ({"modulation": "8psk"}, "modulation is '8psk'; it must be one of bpsk, qpsk, 16qam, 64qam"),
        ({"channel": "rice"}, "channel is 'rice'; it must be one of awgn, rayleigh"),
        ({"relative_width": -0.1}, "relative_width is -0.1; it must lie between 0 and 1"),
        ({"relative_width": "0.1"}, "relative_width is '0.1'; a finite number"),
        ({"method": "importance", "channel": "rayleigh"}, "importance is for channel awgn"),
        ({"method": "importance", "ebn0_db": 29}, "must be above 1e-300"),
        ({"frames": 4}, "unknown parameter frames; known are ebn0_db"),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path, change, line):
    with pytest.raises(ValueError, match=line):
        simulate.run({**GOOD, **change}, context(tmp_path))


def test_a_missing_parameter_is_named(tmp_path):
    with pytest.raises(ValueError, match="parameter ebn0_db, seed is missing"):
        simulate.run({"frame_size": 1, "num_frames": 1}, context(tmp_path))

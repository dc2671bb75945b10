"""The image of `ber` on Windows counts what it counts here, bit for bit; under Wine."""

import json

import pytest

from ber import kernels
from ber.simulate import Point, count
from tests.windows import images

pytestmark = pytest.mark.slow

# The job's default, and the arithmetic of each other method, modulation and channel.
POINTS = [
    *({"ebn0_db": float(ebn0_db)} for ebn0_db in (0, 2, 4, 6, 8, 10)),
    {"ebn0_db": 4.0, "method": "decision"},
    {"ebn0_db": 14.0, "method": "importance"},
    {"ebn0_db": 5.0, "modulation": "16qam"},
    {"ebn0_db": 5.0, "modulation": "64qam", "channel": "rayleigh"},
    {"ebn0_db": 3.0, "channel": "rayleigh", "relative_width": 0.05},
]
SIZE = {"frame_size": 4096, "num_frames": 100, "seed": 20261122}
COUNT = """
import dataclasses, json, sys
from ber import kernels
from ber.simulate import Point, count
for name in kernels.NAMES:
    kernel = kernels.named(name)
    tallies = [count(Point(**point), number, kernel) for number, point in enumerate(json.loads(sys.argv[1]))]
    print(json.dumps([dataclasses.astuple(tally) for tally in tallies]))
"""


def test_both_kernels_count_what_linux_counts(windows):
    points = [SIZE | point for point in POINTS]
    code, said = windows.run(images.of(windows, "ber"), "-c", COUNT, json.dumps(points))
    assert code == 0, said
    by_numba, by_numpy = (json.loads(line) for line in said.splitlines()[-2:])
    kernel = kernels.named("numba")
    here = [count(Point(**point), number, kernel) for number, point in enumerate(points)]
    expected = [[t.bits, t.errors, t.squared, list(t.weights) if t.weights else None] for t in here]
    assert by_numba == expected
    assert by_numpy == expected
    assert all(tally.errors for tally in here[:4])

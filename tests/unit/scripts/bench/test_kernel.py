import os
import shutil

import pytest

from ber import kernels
from scripts.bench import kernel
from scripts.bench.kernel import Count, Pair
from scripts.core.errors import BenchError


def pair(octave, waveform, *, numpy=1000.0, job=50_000.0, job_seconds=1.0):
    """Counts of one pair, from rates in Mbit/s."""

    def count(rate, seconds=1.0):
        return Count(int(rate * 1e6 * seconds), 0, seconds)

    return Pair(count(octave), count(2 * octave), count(waveform), count(numpy), count(job, job_seconds))


def figures(*pairs, scaling=(1.9,)):
    return {figure.name: figure for figure in kernel.figures(pairs, scaling)}


def test_a_ratio_is_that_of_its_own_pair():
    found = figures(pair(10.0, 900.0), *[pair(5.0, 600.0)] * 2, *[pair(20.0, 1600.0)] * 2)
    assert found["kernel.waveform_vs_octave"].values == pytest.approx([90.0, 120.0, 120.0, 80.0, 80.0])
    assert found["kernel.waveform_vs_octave"].median == pytest.approx(90.0)
    assert found["kernel.numpy_vs_octave"].values == pytest.approx([100.0, 200.0, 200.0, 50.0, 50.0])
    assert found["kernel.decision_vs_octave"].median == pytest.approx(5000.0)
    assert found["kernel.octave_twister_mbit_per_s"].median == pytest.approx(20.0)
    assert found["kernel.seed_job_seconds_one_core"].values == [5.0]
    assert all(figure.holds for figure in found.values())


@pytest.mark.parametrize(
    ("slow", "name"),
    [
        (pair(10.0, 790.0), "kernel.waveform_vs_octave"),
        (pair(10.0, 900.0, numpy=99.0), "kernel.numpy_vs_octave"),
        (pair(10.0, 900.0, job=29_000.0), "kernel.decision_vs_octave"),
        (pair(10.0, 900.0, job_seconds=2.1), "kernel.seed_job_seconds_one_core"),
    ],
)
def test_what_is_too_slow_does_not_hold(slow, name):
    assert [figure.name for figure in figures(*[slow] * 5).values() if not figure.holds] == [name]


def test_on_one_core_there_is_no_scaling_to_speak_of():
    pairs = [pair(10.0, 900.0)] * 5
    assert "kernel.threads_scaling_2" in figures(*pairs)
    assert "kernel.threads_scaling_2" not in figures(*pairs, scaling=())


def test_octaves_lines_are_read():
    assert kernel.parse("seed 4096 12 0.5\ntwister 4096 11 0.25\n") == {
        "seed": Count(4096, 12, 0.5),
        "twister": Count(4096, 11, 0.25),
    }
    assert kernel.parse("seed 4000000 12 0.5\n")["seed"].mbit_per_s == 8.0


@pytest.mark.parametrize("line", ["seed 4096 12", "seed 4096 12 fast", "error: out of memory or so"])
def test_a_line_that_octave_should_not_say_is_shown(line):
    with pytest.raises(BenchError, match=line):
        kernel.parse(f"{line}\n")


def test_who_counts_wrong_may_be_as_fast_as_he_likes():
    bits = 1_000_000
    right = round(bits * 0.012500818)  # 4 dB
    kernel.check("somebody", Count(bits, right, 1.0), {4.0: bits})
    for wrong in (Count(bits, right + 1000, 1.0), Count(bits, 0, 1.0), Count(bits - 1, right, 1.0)):
        with pytest.raises(BenchError, match=r"somebody: [\d,]+ errors of [\d,]+ bits, where theory has 12,501 ± 111"):
            kernel.check("somebody", wrong, {4.0: bits})


@pytest.mark.parametrize("method", ["waveform", "decision"])
def test_a_task_is_counted_by_the_workloads_own_code(method):
    counted = kernel.task(kernels.numpy_kernels(), method, 3, 4.0, frames=100)
    assert counted.bits == 100 * kernel.FRAME_SIZE
    assert counted.seconds > 0


def test_a_whole_job_is_the_sum_of_its_parts():
    assert kernel.whole_jobs([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]) == [15.0]
    assert kernel.whole_jobs([1.0] * 10) == [5.0, 5.0]


def test_a_part_of_the_job_has_its_share_of_every_point(monkeypatch):
    monkeypatch.setattr(kernel, "FRAMES", 20)
    parts = [kernel.job(kernels.numpy_kernels(), part) for part in range(kernel.JOB_PARTS)]
    assert sum(part.bits for part in parts) == kernel.TASKS * 20 * kernel.FRAME_SIZE
    assert len({part.errors for part in parts}) > 1


def test_the_seeds_job_is_what_the_seed_has():
    assert kernel.TASKS % (len(kernel.EBN0_DB) * kernel.JOB_PARTS) == 0
    assert kernel.TASKS * kernel.FRAMES * kernel.FRAME_SIZE == 245_760_000_000


BITS = 3000 * kernel.FRAME_SIZE
ERRORS = 153_610  # as theory has it, nearly


def octave(folder, text):
    """A program in Octave's place."""
    program = folder / "octave-cli"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)
    return str(program)


@pytest.mark.skipif(not shutil.which("octave-cli"), reason="there is no octave-cli")
def test_octave_counts_what_theory_says_with_either_generator():
    found = kernel.model("octave-cli", 100)
    assert {name: count.bits for name, count in found.items()} == {"seed": 409_600, "twister": 409_600}
    assert found["seed"].errors != found["twister"].errors
    assert all(count.seconds > 0 for count in found.values())


def test_what_the_model_says_counts_and_not_how_octave_ends(tmp_path):
    lines = f"echo seed {BITS} {ERRORS} 1.5; echo twister {BITS} {ERRORS - 1} 0.75; exit 1"
    assert kernel.model(octave(tmp_path, lines), 3000) == {
        "seed": Count(BITS, ERRORS, 1.5),
        "twister": Count(BITS, ERRORS - 1, 0.75),
    }


def test_a_model_that_fails_or_counts_wrong_is_said(tmp_path):
    with pytest.raises(BenchError, match="does not run the seed's model: undefined near line 3"):
        kernel.model(octave(tmp_path, "echo undefined near line 3 >&2; exit 1"), 3000)
    with pytest.raises(BenchError, match="Octave with 'twister': 3 errors"):
        kernel.model(octave(tmp_path, f"echo seed {BITS} {ERRORS} 1; echo twister {BITS} 3 1"), 3000)


def test_octave_that_is_missing_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BenchError, match=r"octave-cli is missing, .* apt-get install octave"):
        kernel.measure(1, print)


def test_one_core_is_one_core_and_afterwards_all_are_back():
    before = os.sched_getaffinity(0)
    with kernel._one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before

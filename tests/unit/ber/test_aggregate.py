import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread

from ber import aggregate, plot, theory
from ber.interval import proportion_interval
from winbatch.results import ItemFailure, ItemResult
from winbatch.workload import Context

SHARED = {"seed": 1234, "method": "waveform"}


def result(item, ebn0_db, bits, errors, kernel="waveform/numba/1", **params):
    return ItemResult(
        item,
        {"ebn0_db": ebn0_db, "frame_size": 1, "num_frames": bits, **SHARED, **params},
        {"bits": bits, "bit_errors": errors, "kernel": kernel},
    )


def run(results, folder, failures=()):
    context = Context(
        item=0,
        job="ber-1",
        folder=folder,
        read_results=lambda name: iter(results[name]),
        read_failures=lambda name: {"simulate": failures}[name],
    )
    return aggregate.run(SHARED, context)


RESULTS = [
    result(0, 0, 10**9, 78_649_604),
    result(1, 12.0, 10**9, 9),
    result(2, 0.0, 10**9, 78_650_000),
    result(3, 13, 10**9, 0),
    result(4, 12.0, 3 * 10**9, 30, kernel="waveform/numpy/1"),
]


def test_the_files(tmp_path):
    values = run({"simulate": RESULTS}, tmp_path / "out")
    assert values == {
        "points": 3,
        "items": 5,
        "failed_items": 0,
        "bits": 7 * 10**9,
        "bit_errors": 157_299_643,
        "kernels": {"waveform/numba/1": 4, "waveform/numpy/1": 1},
        "files": ["results.json", "results.csv", "results.png"],
    }
    assert sorted(path.name for path in (tmp_path / "out/outputs").iterdir()) == sorted(values["files"])

    data = json.loads((tmp_path / "out/outputs/results.json").read_text())
    assert {name: value for name, value in data.items() if name != "points"} == {
        "schema": 1,
        "job": "ber-1",
        "seed": 1234,
        "items": 5,
        "failed_items": [],
        "bits": 7 * 10**9,
        "bit_errors": 157_299_643,
        "kernels": {"waveform/numba/1": 4, "waveform/numpy/1": 1},
    }
    assert [(p["ebn0_db"], p["bits"], p["bit_errors"], p["method"]) for p in data["points"]] == [
        (0.0, 2 * 10**9, 157_299_604, "waveform"),
        (12.0, 4 * 10**9, 39, "waveform"),
        (13.0, 10**9, 0, "waveform"),
    ]
    for point in data["points"]:
        assert set(point) == {"ebn0_db", "bits", "bit_errors", "ber", "ci95", "theory", "method"}
        assert point["ber"] == point["bit_errors"] / point["bits"]
        assert tuple(point["ci95"]) == proportion_interval(point["bit_errors"], point["bits"])
        assert point["theory"] == theory.bit_error_rate(point["ebn0_db"])
    assert data["points"][2]["ci95"][0] == 0
    assert data["points"][2]["ci95"][1] == pytest.approx(2.9957e-9, rel=1e-4)


def test_items_that_failed_are_named_and_the_points_rest_on_the_others(tmp_path):
    failures = [ItemFailure(1, 0, "memory", "MemoryError", ("line",)), ItemFailure(3, 1, "crash", "gone")]
    values = run({"simulate": [RESULTS[n] for n in (0, 2, 4)]}, tmp_path / "out", failures)
    assert (values["items"], values["failed_items"], values["points"]) == (3, 2, 2)
    data = json.loads((tmp_path / "out/outputs/results.json").read_text())
    assert data["failed_items"] == [{"item": 1, "reason": "MemoryError"}, {"item": 3, "reason": "gone"}]
    assert [(point["ebn0_db"], point["bits"]) for point in data["points"]] == [(0.0, 2 * 10**9), (12.0, 3 * 10**9)]


def test_the_table_has_the_same_digits(tmp_path):
    run({"simulate": RESULTS}, tmp_path / "out")
    points = json.loads((tmp_path / "out/outputs/results.json").read_text())["points"]
    lines = list(csv.DictReader(io.StringIO((tmp_path / "out/outputs/results.csv").read_text())))
    assert len(lines) == len(points)
    for line, point in zip(lines, points, strict=True):
        assert [float(line["ci95_low"]), float(line["ci95_high"])] == point["ci95"]
        for name in ("ebn0_db", "ber", "theory"):
            assert float(line[name]) == point[name]
        assert (int(line["bits"]), int(line["bit_errors"])) == (point["bits"], point["bit_errors"])


def test_running_again_writes_the_same_bytes(tmp_path):
    written = []
    for name in ("first", "second"):
        run({"simulate": RESULTS}, tmp_path / name)
        written.append([(tmp_path / name / "outputs" / file).read_bytes() for file in aggregate.FILES])
    assert written[0] == written[1]


def test_the_plot_is_a_picture(tmp_path):
    run({"simulate": RESULTS}, tmp_path / "out")
    pixels = imread(tmp_path / "out/outputs/results.png")
    assert pixels.shape[:2] == (960, 1280)
    assert 0.02 < (pixels[..., :3].min(axis=2) < 0.9).mean() < 0.3  # something is drawn, and it is no blot


@pytest.mark.parametrize(
    ("errors", "labels"),
    [
        ({0.0: 80, 4.0: 12}, ["theory", "simulated"]),
        ({0.0: 80, 13.0: 0}, ["theory", "simulated", "no error seen"]),
        ({13.0: 0}, ["theory", "no error seen"]),
        ({50.0: 0}, ["theory", "no error seen"]),
        ({-50.0: 1000}, ["theory", "simulated"]),
    ],
)
def test_everything_drawn_lies_within_the_axes(errors, labels):
    results = [result(i, ebn0_db, 1000, count) for i, (ebn0_db, count) in enumerate(errors.items())]
    points = aggregate.merge(results, SHARED).points
    (axes,) = plot.draw(points).axes
    assert axes.get_yscale() == "log"
    shown = [text.get_text() for text in axes.get_legend().get_texts()]
    assert len(shown) == len(labels)
    assert all(any(text.startswith(label) for text in shown) for label in labels)
    low, high = axes.get_ylim()
    left, right = axes.get_xlim()
    for point in points:
        assert low < (point.ci95[0] or point.ci95[1]) <= point.ci95[1] <= high
        assert left < point.ebn0_db < right


counts = st.tuples(st.sampled_from([0.0, 2.0, 11.5]), st.integers(1, 2**60), st.floats(0, 1))


@given(st.lists(counts, min_size=1, max_size=20), st.randoms())
@settings(max_examples=20, deadline=None)
def test_merging_is_exact_in_any_order(entries, rng):
    results = [result(i, ebn0_db, bits, int(bits * share)) for i, (ebn0_db, bits, share) in enumerate(entries)]
    shuffled = rng.sample(results, len(results))
    totals = {}
    for entry in results:
        bits, errors = totals.get(entry.params["ebn0_db"], (0, 0))
        totals[entry.params["ebn0_db"]] = bits + entry.values["bits"], errors + entry.values["bit_errors"]
    curve = aggregate.merge(shuffled, SHARED)
    assert {point.ebn0_db: (point.bits, point.bit_errors) for point in curve.points} == totals
    assert [point.ebn0_db for point in curve.points] == sorted(totals)
    assert aggregate.merge(results, SHARED) == curve


def test_points_of_two_methods_stay_apart():
    results = [result(0, 4, 100, 1), result(1, 4, 100, 3, method="decision", kernel="decision/numba/1")]
    points = aggregate.merge(results, {"seed": 1234}).points
    assert [(point.method, point.bit_errors) for point in points] == [("decision", 3), ("waveform", 1)]


def test_no_items_is_said(tmp_path):
    with pytest.raises(ValueError, match="simulate has no items"):
        run({"simulate": []}, tmp_path / "out")


@pytest.mark.parametrize(
    "values",
    [
        {"bits": 10, "bit_errors": 11, "kernel": "k"},
        {"bits": 0, "bit_errors": 0, "kernel": "k"},
        {"bits": 10, "bit_errors": 1.0, "kernel": "k"},
        {"bits": 10, "kernel": "k"},
        {"bits": 10, "bit_errors": 1},
    ],
)
def test_impossible_counts_are_named(values):
    broken = ItemResult(17, RESULTS[0].params, values)
    with pytest.raises(ValueError, match="item 17 has no counts"):
        aggregate.merge([broken], SHARED)


@pytest.mark.parametrize("change", [{"seed": 9}, {"method": "decision"}])
def test_an_item_of_another_job_is_named(change):
    with pytest.raises(ValueError, match=r"item 8 has (seed|method) .*another job"):
        aggregate.merge([result(8, 4, 100, 1, **change)], SHARED)

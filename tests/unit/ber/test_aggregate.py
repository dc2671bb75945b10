import csv
import datetime as dt
import functools
import io
import json
import os
import re

import numpy as np
import pytest
from arro3.io import read_parquet
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.image import imread
from playwright.sync_api import sync_playwright

from ber import aggregate, kernels, plot, sums, theory
from ber.interval import proportion_interval
from ber.simulate import Point, count
from scripts.core.settings import Settings
from scripts.tools import browser
from winbatch.account import Account
from winbatch.ledger import Ledger
from winbatch.results import ItemFailure, ItemResult
from winbatch.workload import Context

SHARED = {"seed": 1234, "method": "waveform"}


def result(item, ebn0_db, bits, errors, kernel="waveform/numba/1", **params):
    return ItemResult(
        item,
        {"ebn0_db": ebn0_db, "frame_size": 1, "num_frames": bits, **SHARED, **params},
        {"bits": bits, "bit_errors": errors, "kernel": kernel},
    )


def merge(results, shared=SHARED):
    return aggregate.curve_of(sums.add_up(results, shared))


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
        "files": ["results.json", "results.csv", "results.parquet", "results.png", "report.html"],
    }
    assert sorted(path.name for path in (tmp_path / "out/outputs").iterdir()) == sorted(values["files"])

    data = json.loads((tmp_path / "out/outputs/results.json").read_text())
    assert {name: value for name, value in data.items() if name != "points"} == {
        "schema": 1,
        "job": "ber-1",
        "seed": 1234,
        "items": 5,
        "failed_items": [],
        "failed_causes": [],
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
        assert set(point) == {
            "ebn0_db",
            "bits",
            "bit_errors",
            "ber",
            "ci95",
            "theory",
            "method",
            "modulation",
            "channel",
        }
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
    assert [(cause["reason"], cause["items"], cause["lines"]) for cause in data["failed_causes"]] == [
        ("MemoryError", [1], ["line"]),
        ("gone", [3], []),
    ]
    page = (tmp_path / "out/outputs/report.html").read_text(encoding="utf-8")
    assert "<td>item 1<td>memory<td>MemoryError<td>line" in page
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


def test_parquet_has_the_same_rows_with_their_types(tmp_path):
    run({"simulate": RESULTS}, tmp_path / "out")
    points = json.loads((tmp_path / "out/outputs/results.json").read_text())["points"]
    table = read_parquet(tmp_path / "out/outputs/results.parquet").read_all()
    assert [str(field.type).strip() for field in table.schema] == [
        *["arro3.core.DataType<Float64>", "arro3.core.DataType<Int64>", "arro3.core.DataType<Int64>"],
        *["arro3.core.DataType<Float64>"] * 4,
        *["arro3.core.DataType<Utf8>"] * 3,
    ]
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    for number, point in enumerate(points):
        low, high = point.pop("ci95")
        expected = {**point, "ci95_low": low, "ci95_high": high}
        assert {name: column[number] for name, column in columns.items()} == expected


def test_symbols_have_an_interval_that_knows_of_their_dependence():
    """All four bits of a symbol wrong or none: a quarter as many trials."""
    params = {"modulation": "16qam", "channel": "rayleigh"}
    whole = ItemResult(
        0,
        {"ebn0_db": 4, **SHARED, **params},
        {"bits": 40_000, "bit_errors": 4_000, "bit_errors_squared": 16_000, "kernel": "waveform/numba/1"},
    )
    (point,) = merge([whole]).points
    assert point.ci95 == pytest.approx(proportion_interval(1000, 10_000), rel=1e-3)
    assert point.theory == theory.bit_error_rate(4, "16qam", "rayleigh")


def test_weights_are_merged_exactly_and_estimate_the_rate():
    where = Point(20.0, 1, 400_000, 1234, "importance")
    tallies = [count(where, item, kernels.numpy_kernels()) for item in range(3)]
    shared = {"seed": 1234, "method": "importance"}
    results = [
        ItemResult(
            item,
            {"ebn0_db": 20.0, **shared},
            {
                "bits": tally.bits,
                "bit_errors": tally.errors,
                "weight": tally.weights[0],
                "weight_squared": tally.weights[1],
                "kernel": "importance/numpy/1",
            },
        )
        for item, tally in enumerate(tallies)
    ]
    (point,) = merge(results, shared).points
    assert merge(results[::-1], shared).points == [point]
    assert point.bits == 1_200_000
    # Twice the interval is four standard errors: the seed is fixed, so it cannot flake.
    assert abs(point.ber - point.theory) < point.ci95[1] - point.ci95[0]
    assert point.ci95[1] - point.ci95[0] < 0.03 * point.theory
    without = [results[0]._replace(values={"bits": 4, "bit_errors": 1, "kernel": "k"})]
    with pytest.raises(ValueError, match="item 0 has no counts"):
        merge(without, shared)


STARTED = dt.datetime(2026, 11, 24, 19, tzinfo=dt.UTC)
LEDGER = Ledger(
    dag="ber",
    job="ber-1",
    stage="simulate",
    items=5,
    shards=3,
    shard_items=2,
    started_at=STARTED,
    updated_at=STARTED + dt.timedelta(seconds=70),
    due_at=STARTED,
    progress_at=STARTED,
    state="succeeded",
    instance_seconds=5400.0,
    cost=0.567,
)


def report_of(folder, failures=()):
    context = Context(
        item=0,
        job="ber-<1>",
        folder=folder,
        read_results=lambda _name: iter(RESULTS),
        read_failures=lambda _name: failures,
        read_account=lambda _name: Account({"seed": 1234, "ebn0_db": [0, 12]}, 5 + len(failures), 3, LEDGER),
    )
    aggregate.run(SHARED, context)
    return (folder / "outputs/report.html").read_text()


def test_the_report_says_all_and_needs_nothing_else(tmp_path):
    failures = [ItemFailure(7, 3, "memory", "MemoryError: <nothing> left")]
    page = report_of(tmp_path / "out", failures)
    for text in (
        *["ber-&lt;1&gt;", "5 of 6 items", "7,000,000,000 bits", "12 dB", "9.7500e-09", "ebn0_db", "0, 12"],
        *["70 s", "100 Mbit/s", "1.50", "0.57 US dollars", "memory", "MemoryError: &lt;nothing&gt; left"],
        *["waveform/numpy/1", np.__version__],
    ):
        assert text in page
    assert set(re.findall(r"(?:src|href|srcset|url)[=(]['\"]?([a-z]+:)", page)) == {"data:"}


@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "paper"), [("light", (255, 255, 255)), ("dark", (20, 24, 29))])
def test_the_report_is_drawn_in_light_and_dark_without_a_network(tmp_path, scheme, paper, monkeypatch):
    found = os.environ.get("WINBATCH_BROWSER") or browser.find(Settings.load("local"))
    assert found, "no browser: invoke setup --tests"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    report_of(tmp_path / "out")
    asked = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(found), args=["--no-sandbox"])
        page = chromium.new_page(color_scheme=scheme, viewport={"width": 1000, "height": 1400})
        page.on("request", lambda request: asked.append(request.url))
        page.goto((tmp_path / "out/outputs/report.html").as_uri())
        assert page.evaluate("document.images[0].naturalWidth") > 300
        page.screenshot(path=tmp_path / "page.png")
        figure = page.locator("img").bounding_box()
        chromium.close()
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    pixels = (imread(tmp_path / "page.png")[..., :3] * 255).round()
    assert tuple(pixels[2, 2]) == paper
    left, top = int(figure["x"]), int(figure["y"])
    inside = pixels[top : top + int(figure["height"]), left : left + int(figure["width"])]
    assert tuple(inside[1, 1]) == paper
    # Something is drawn that stands out from the paper.
    assert 0.02 < (abs(inside - np.array(paper)).max(axis=2) > 80).mean() < 0.3


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
    points = merge(results).points
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


def test_both_drawings_keep_to_their_palette():
    results = [*RESULTS, result(5, 4, 10**6, 12_000, kernel="decision/numba/1", method="decision")]
    figure = plot.draw(merge(results, {"seed": 1234}).points)
    light, dark = plot.svgs(figure)
    colours = [set(re.findall(r"#[0-9a-f]{6}\b", drawing)) for drawing in (light, dark)]
    assert colours[0] <= set(plot.LIGHT.colours())
    assert colours[1] <= set(plot.DARK.colours())
    assert len(colours[0]) == len(colours[1])
    assert "#000000" not in plot.LIGHT.colours(), "SVG leaves it out, and what is left out stays black on dark paper"
    # The rest of both is the same.
    assert len({re.sub(r"#[0-9a-f]{6}\b", "", drawing) for drawing in (light, dark)}) == 1


counts = st.tuples(st.sampled_from([0.0, 2.0, 11.5]), st.integers(1, 2**60), st.floats(0, 1))


@given(st.lists(counts, min_size=1, max_size=20), st.randoms())
@settings(max_examples=20)
def test_merging_is_exact_in_any_order(entries, rng):
    results = [result(i, ebn0_db, bits, int(bits * share)) for i, (ebn0_db, bits, share) in enumerate(entries)]
    shuffled = rng.sample(results, len(results))
    totals = {}
    for entry in results:
        bits, errors = totals.get(entry.params["ebn0_db"], (0, 0))
        totals[entry.params["ebn0_db"]] = bits + entry.values["bits"], errors + entry.values["bit_errors"]
    curve = merge(shuffled)
    assert {point.ebn0_db: (point.bits, point.bit_errors) for point in curve.points} == totals
    assert [point.ebn0_db for point in curve.points] == sorted(totals)
    assert merge(results) == curve
    parts = [sums.add_up(part, SHARED) for part in (shuffled[:3], shuffled[3:5], shuffled[5:])]
    assert aggregate.curve_of(functools.reduce(sums.Sums.combined, parts)) == curve


def test_points_of_two_methods_stay_apart():
    results = [result(0, 4, 100, 1), result(1, 4, 100, 3, method="decision", kernel="decision/numba/1")]
    points = merge(results, {"seed": 1234}).points
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
        merge([broken])


@pytest.mark.parametrize("change", [{"seed": 9}, {"method": "decision"}])
def test_an_item_of_another_job_is_named(change):
    with pytest.raises(ValueError, match=r"item 8 has (seed|method) .*another job"):
        merge([result(8, 4, 100, 1, **change)])

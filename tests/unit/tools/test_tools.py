import csv
import hashlib
import json
import math
import statistics
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools import paths, price, table
from tools.digest import digest
from winbatch.results import ItemFailure, ItemResult
from winbatch.workload import Context

MARKET = {"count": 2000, "spot": 100.0, "rate": 0.03, "volatility": 0.2, "years": 1.5}


@pytest.mark.parametrize(
    ("body", "lines", "entropy"),
    [(b"", 0, 0.0), (b"aaaa", 0, 0.0), (b"ab\nab\n", 2, 1.584963), (bytes(range(256)), 1, 8)],
)
def test_a_digest(tmp_path, body, lines, entropy):
    (tmp_path / "file").write_bytes(body)
    assert digest(tmp_path / "file") == {
        "bytes": len(body),
        "lines": lines,
        "entropy": entropy,
        "sha256": hashlib.sha256(body).hexdigest(),
    }


def test_an_items_paths_are_its_own_and_always_the_same():
    first, again, other = (list(paths.prices(seed=1, item=item, **MARKET)) for item in (0, 0, 1))
    assert first == again
    assert not set(first) & set(other)


def test_paths_have_the_models_moments():
    """Of 20,000 normal logarithms; six standard errors, so by chance once in 500 million."""
    logs = [math.log(value / 100) for value in paths.prices(seed=3, item=0, **MARKET | {"count": 20000})]
    scale = 0.2 * math.sqrt(1.5)
    assert abs(statistics.fmean(logs) - (0.03 - 0.02) * 1.5) < 6 * scale / math.sqrt(20000)
    assert abs(statistics.stdev(logs) - scale) < 6 * scale / math.sqrt(40000)


def test_the_price_is_that_of_black_and_scholes():
    found = price.price(
        list(paths.prices(seed=2, item=0, **MARKET | {"count": 50000})), strike=105, rate=0.03, years=1.5
    )
    deviation = 0.2 * math.sqrt(1.5)
    d1 = (math.log(100 / 105) + (0.03 + 0.02) * 1.5) / deviation
    normal = statistics.NormalDist().cdf
    exact = 100 * normal(d1) - 105 * math.exp(-0.045) * normal(d1 - deviation)
    assert abs(found["price"] - exact) < 6 * found["standard_error"]
    assert found["paths"] == 50000


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=50))
def test_an_option_at_strike_0_is_the_mean(values):
    found = price.price(values, strike=0, rate=0, years=1)
    assert found["price"] == pytest.approx(statistics.fmean(values))


@pytest.mark.parametrize("module", ["digest", "paths", "price"])
def test_each_tool_explains_itself(module):
    done = subprocess.run(
        [sys.executable, "-m", f"tools.{module}", "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"usage: tools.{module} ")


def run_table(tmp_path, results, failures=(), earlier=("first",)):
    context = Context(
        item=0,
        job="j",
        earlier=earlier,
        folder=tmp_path,
        read_results=lambda name: iter({"first": results}[name]),
        read_failures=lambda name: {"first": failures}[name],
    )
    return table.run({}, context)


def test_a_table_has_all_items_and_says_what_failed(tmp_path):
    results = [
        ItemResult(0, {"x": 1.5, "name": "a,b"}, {"y": 2, "list": [1, {"z": None}]}),
        ItemResult(2, {"x": 2.0, "name": "c"}, {"y": True, "more": "ä"}),
    ]
    values = run_table(tmp_path, results, [ItemFailure(1, 0, "crash", "gone")])
    assert values == {"items": 2, "failed_items": 1, "files": ["results.json", "results.csv"]}
    with (tmp_path / "outputs/results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {"item": "0", "x": "1.5", "name": "a,b", "y": "2", "list": '[1, {"z": null}]', "more": ""},
        {"item": "2", "x": "2.0", "name": "c", "y": "true", "list": "", "more": "ä"},
    ]
    summary = json.loads((tmp_path / "outputs/results.json").read_text())
    assert (summary["items"], summary["failed_items"]) == (2, [{"item": 1, "reason": "gone"}])
    assert [(cause["reason"], cause["count"], cause["items"]) for cause in summary["failed_causes"]] == [
        ("gone", 1, [1])
    ]


@pytest.mark.parametrize("earlier", [(), ("first", "second")])
def test_a_table_is_of_one_stage(tmp_path, earlier):
    with pytest.raises(ValueError, match="made of one stage's items"):
        run_table(tmp_path, [], earlier=earlier)

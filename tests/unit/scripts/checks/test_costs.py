import hcl2
import pytest

from scripts.checks import costs
from scripts.checks.costs import Line, Run
from scripts.core.settings import ROOT


def test_a_line_is_the_sum_of_its_parts():
    line = Line("x", [(730, "NAT gateway"), (10, "NAT gateway, data")])
    assert line.usd == pytest.approx(730 * 0.045 + 10 * 0.045)
    assert line.sure
    assert not Line("x", [(1, "key"), (1, "mw1.micro")]).sure


def test_a_run_pays_for_whole_rounds_and_each_start():
    # Nine rounds of five minutes on 24 cores.
    assert Run().hours == pytest.approx(6 * (9 + 9 * 5) / 60)
    assert Run(items=24, instances=6).hours == pytest.approx(6 * (9 + 5) / 60)
    compute = costs.run_lines(Run())[0]
    assert compute.usd == pytest.approx(Run().hours * (0.17 + 4 * 0.046))


def test_the_page_has_every_option_and_is_settled():
    page = costs.page((ROOT / "docs" / "cost.md").read_text())
    assert costs.page(page) == page
    for line in costs.IDLE:
        assert f"| {line.title} |" in page
    for price in costs.PRICES:
        assert f"| {price} |" in page


def test_endpoints_are_as_many_as_the_network_makes():
    found = hcl2.loads((ROOT / "terraform" / "modules" / "network" / "endpoints.tf").read_text())
    names = next(block["own_endpoints"] for block in found["locals"] if "own_endpoints" in block)
    assert len(names) == costs.ENDPOINTS

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from scripts.bench.figures import Figure, broken, table


def figure(**changes):
    return Figure(**{"name": "part.figure", "values": [3.0, 1.0, 2.0]} | changes)


def test_the_median_counts_and_the_spread_is_kept():
    shown = figure(unit="s", bound=2.0, compared_with="another").as_json()
    assert (shown["median"], shown["min"], shown["max"], shown["values"]) == (2.0, 1.0, 3.0, [3.0, 1.0, 2.0])
    assert (shown["unit"], shown["bound"], shown["holds"], shown["compared_with"]) == ("s", 2.0, True, "another")


@pytest.mark.parametrize(
    ("bound", "sense", "holds"),
    [
        (2.0, "at most", True),
        (1.9, "at most", False),
        (2.0, "at least", True),
        (2.1, "at least", False),
        (None, "at most", True),
    ],
)
def test_a_bound_is_the_most_or_the_least(bound, sense, holds):
    assert figure(bound=bound, sense=sense).holds is holds


def test_a_figure_without_a_value_is_refused():
    with pytest.raises(ValueError, match=r"part\.figure has no value"):
        figure(values=[])


def test_what_does_not_hold_is_named_with_its_bound():
    found = [figure(), figure(name="a.b", unit="s", bound=1.5), figure(name="c.d", bound=3.0, sense="at least")]
    assert broken(found) == ["a.b is 2 s, the bound is at most 1.5", "c.d is 2, the bound is at least 3"]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=9), st.floats(0, 1e6))
def test_half_of_the_runs_hold_when_the_figure_does(values, bound):
    made = figure(values=values, bound=bound)
    within = sum(value <= bound for value in values)
    if made.holds:
        assert within >= len(values) / 2
    else:
        assert within <= len(values) / 2


def test_the_table_says_what_each_figure_is_compared_with():
    console = Console(width=200, record=True, file=None)
    with console.capture() as shown:
        console.print(
            table([figure(unit="s", bound=2.0, compared_with="mapped"), figure(name="one", values=[12345.0])])
        )
    text = shown.get()
    assert "part.figure" in text
    assert "1-3" in text
    assert "≤ 2" in text
    assert "mapped" in text
    assert "12,345" in text
    assert "one run" in text

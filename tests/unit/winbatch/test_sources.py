import csv
import datetime as dt
import io
import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch import sources
from winbatch.errors import SpecError
from winbatch.stage_spec import StageSpec
from winbatch.storage import Entry


class Bucket:
    def __init__(self, objects=()):
        self.objects = dict(objects)

    def find(self, key):
        return self.objects.get(key)

    def listing(self, prefix):
        return [
            Entry(key, dt.datetime.now(dt.UTC), len(body))
            for key, body in sorted(self.objects.items())
            if key.startswith(prefix)
        ]

    def where(self, key):
        return f"s3://data/{key}"


def items(given_, bucket=(), earlier=None, **stage):
    made = sources.items_of(
        StageSpec(name="s", workload="demo", run="m:f", **stage), given_, earlier or {}, lambda _: Bucket(bucket)
    )
    listed = list(made.params())
    assert made.count == len(listed)
    assert listed == list(made.params())  # as often as it is asked
    return listed


values = st.lists(st.integers(-9, 9) | st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4, unique=True)


@given(st.lists(values, min_size=1, max_size=4), st.integers(1, 3))
def test_a_grid_holds_every_combination_the_last_parameter_fastest(axes, times):
    names = [f"p{number}" for number in range(len(axes))]
    found = items(dict(zip(names, axes, strict=True)), grid=names, repetitions=times)
    expected = [
        {**dict(zip(names, point, strict=True)), "repetition": repetition}
        for point in itertools.product(*axes)
        for repetition in range(times)
    ]
    assert found == expected


@given(st.lists(st.integers(0, 5), min_size=1, max_size=300))
def test_groups_cover_all_items_in_order_without_gaps(numbers):
    made = sources.Items(len(numbers), lambda: ({"n": n} for n in numbers))
    groups = sources.groups_of(made, "n")
    runs = [(value, len(list(run))) for value, run in itertools.groupby(numbers)]
    if len({value for value, _ in runs}) < len(runs):
        assert groups == ()  # a value in several runs is no group
        return
    assert [(group.name, group.items) for group in groups] == [(f"n={value}", size) for value, size in runs]
    assert [group.first for group in groups] == [0, *itertools.accumulate(size for _, size in runs)][:-1]


@pytest.mark.parametrize(("count", "groups"), [(1, 1), (64, 64), (65, 0), (1000, 0)])
def test_too_many_groups_are_none(count, groups):
    made = sources.dealt("n", list(range(count)), 2 * count)
    assert len(sources.groups_of(made, "n")) == groups


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (8.0, "x=8"),
        (0.25, "x=0.25"),
        (-1, "x=-1"),
        ("a b", "x=a b"),
        (True, "x=true"),
        (1e22, "x=10000000000000000000000"),
    ],
)
def test_groups_are_named_by_their_value(value, name):
    (group,) = sources.groups_of(sources.dealt("x", [value], 3), "x")
    assert (group.name, group.first, group.items) == (name, 0, 3)


def test_repetitions_and_parameters_come_with_each_item():
    found = items({"g": [1, 2], "r": 2, "seed": 5}, grid=["g"], repetitions="r", params=["seed"])
    assert found[:2] == [{"g": 1, "repetition": 0, "seed": 5}, {"g": 1, "repetition": 1, "seed": 5}]
    assert len(found) == 4


def test_an_earlier_stages_items():
    earlier = {"first": sources.dealt("x", [1, 2], 4)}
    assert items({"y": 3}, earlier=earlier, source="first", params=["y"]) == [{"x": x, "y": 3} for x in (1, 1, 2, 2)]


def table(body, **columns):
    columns = columns or {"name": "string", "strike": "number"}
    return items(
        {"t": "sim/t.csv"}, {"sim/t.csv": body.encode() if isinstance(body, str) else body}, csv="t", columns=columns
    )


@pytest.mark.parametrize(
    "body",
    [
        "name,strike\na,1.5\nb,2\n",
        "name,strike\r\na,1.5\r\nb,2\r\n",
        "name;strike\ra;1.5\rb;2\r",
        "\ufeffname,strike\na,1.5\nb,2",
        "strike,ignored,name\n1.5,x,a\n\n2,y,b\n",
        ' name , strike \n"a", 1.5\nb,2e0\n',
    ],
)
def test_a_table(body):
    assert [(row["name"], row["strike"]) for row in table(body)] == [("a", 1.5), ("b", 2.0)]


def test_a_tables_types():
    (row,) = table('a,b,c,d\n"x,y",8.0,3,true\n', a="string", b="integer", c="number", d="boolean")
    assert row == {"a": "x,y", "b": 8, "c": 3.0, "d": True}
    assert [type(value) for value in row.values()] == [str, int, float, bool]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "line 1: column 'name' is missing; there are none"),
        ("\n", "line 1: column 'name' is missing; there are none"),
        ("name\na\n", "line 1: column 'strike' is missing; there are name"),
        (
            "name;strike_\na;1\n",
            "line 1: column 'strike' is missing (did you mean `strike_`?); there are name, strike_",
        ),
        ("name,strike,name\na,1,b\n", "line 1: column 'name' is there twice"),
        ("name,strike\n", "the table 'sim/t.csv' has no rows"),
        ("name,strike\na,1\nb\n", "line 3: 1 values, but 2 columns"),
        ("name,strike\na,1,2\n", "line 2: 3 values, but 2 columns"),
        ('name,strike\n"a\nb",1\nc,x\n', "line 4: column 'strike' is 'x'; a number is expected"),
        ("name,strike\na,\n", "column 'strike' is ''; a number is expected"),
        ("name,strike\na,nan\n", "is 'nan'; a number is expected"),
        ("name,strike\na,NaN\n", "is 'NaN'; a number is expected"),
        ("name,strike\na,1e999\n", "is '1e999'; a number is expected"),
        ("name,strike\na,true\n", "is 'true'; a number is expected"),
        ('name,strike\n"a,1\n', "not CSV in UTF-8"),
        (b"name,strike\na,1\n\xf6,1\n", "line 3: not CSV in UTF-8: the byte 0xF6, which is 'ö' in Windows' code page"),
        ("name,strike\n".encode("utf-16-le"), "line 1: not CSV in UTF-8: it holds NUL characters, as UTF-16"),
        (b"\xff\xfenam", "line 1: not CSV in UTF-8: it begins as UTF-16 and is none"),
        ('name,strike\na,"1,5"\n', "a number is expected, with a point for the decimals"),
        ("name;strike\na;1,5\n", "line 2: column 'strike' is '1,5'; a number is expected, with a point"),
        ('name,strike\na,"1,500"\n', "nothing between thousands"),
    ],
)
def test_a_table_that_is_wrong_is_named_with_its_line(body, words):
    with pytest.raises(SpecError) as caught:
        table(body)
    assert words in str(caught.value)
    assert "sim/t.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_not_there():
    with pytest.raises(SpecError, match=r"s3://data/sim/t.csv does not exist; upload the table"):
        items({"t": "sim/t.csv"}, csv="t", columns={"x": "number"})


@pytest.mark.parametrize("text", ["2.5", "x", "true", "", "9" * 19, "1e19", "6.022e23", "1e999", "1" * 400, "1e-1"])
def test_whole_numbers_of_a_table(text):
    with pytest.raises(SpecError, match="a whole number is expected") as caught:
        table(f"n,x\n{text},1\n", n="integer")
    assert ("beyond 64 bits" in str(caught.value)) == (text not in {"2.5", "x", "true", "", "1e-1"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e3", 1000),
        ("2e0", 2),
        ("1.5E+01", 15),
        ("1.23457E+05", 123457),
        ("8.0", 8),
        (" 7 ", 7),
        ("-0", 0),
        ("0e999999999", 0),
        # Exactly, though no double holds them.
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("9007199254740993.0", 9007199254740993),
    ],
)
def test_whole_numbers_of_a_table_are_exact(text, value):
    assert table(f"n\n{text}\n", n="integer") == [{"n": value}]


@pytest.mark.parametrize("text", ["1.23457E+11", "1E+11", "-1.2e5", "1.23457e11", "1E+05"])
def test_what_a_spreadsheet_has_cut_is_refused_for_a_whole_number(text):
    with pytest.raises(SpecError, match=r"whose last digits are lost; .* as a number without decimals"):
        table(f"n\n{text}\n", n="integer")
    assert table(f"n\n{text}\n", n="number") == [{"n": float(text)}]


@pytest.mark.parametrize(("text", "value"), [("TRUE", True), ("FALSE", False), ("True", True), ("false", False)])
def test_booleans_of_a_table_as_spreadsheets_write_them(text, value):
    assert table(f"name,on\r\na,{text}\r\n", name="string", on="boolean") == [{"name": "a", "on": value}]
    for other in ("1", "yes", "WAHR"):
        with pytest.raises(SpecError, match="true or false is expected"):
            table(f"on\n{other}\n", on="boolean")


def test_rows_in_which_nothing_stands_are_left_out_with_a_word(caplog):
    body = "\ufeffname,path\r\nsolver,C:\\data\\in.bin\r\n,\r\n , \r\n"
    assert table(body, name="string", path="string") == [{"name": "solver", "path": "C:\\data\\in.bin"}]
    assert caplog.messages == ["s3://data/sim/t.csv: lines 3, 4 are left out, for nothing stands in them"]
    caplog.clear()
    assert len(table("name,path\na,b\n,\n" + ",,,\n" * 9, name="string", path="string")) == 1
    assert caplog.messages[0].endswith("lines 3, 4, 5, 6, 7 and 5 more are left out, for nothing stands in them")
    with pytest.raises(SpecError, match="has no rows"):
        table("name,path\n,\n", name="string", path="string")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_as_programs_save_it(separator, encoding):
    rows = [["ignored, once", "name", "strike"], ["x", "a, ü", "1.5"], ["y;\t", "b", "2"]]
    file = io.StringIO()
    csv.writer(file, delimiter=separator).writerows(rows)
    assert table(file.getvalue().encode(encoding)) == [{"name": "a, ü", "strike": 1.5}, {"name": "b", "strike": 2.0}]


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.floats(allow_nan=False, allow_infinity=False)
        ),
        min_size=1,
        max_size=20,
    )
)
def test_a_table_is_read_as_it_was_written(rows):
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["name", "strike"])
    writer.writerows([(name, repr(strike)) for name, strike in rows])
    assert [(row["name"], row["strike"]) for row in table(file.getvalue())] == rows


@given(st.sets(st.text("ab/", min_size=1, max_size=6)))
def test_a_listing_has_an_item_an_object_and_no_folders(names):
    objects = {f"sim/in/{name}": b"x" * len(name) for name in names} | {"sim/into": b""}
    expected = sorted(key for key in objects if key.startswith("sim/in/") and not key.endswith("/"))
    if not expected:
        with pytest.raises(SpecError, match="no object lies below"):
            items({"p": "sim/in"}, objects, objects="p")
        return
    for prefix in ("sim/in", "sim/in/", "/sim/in"):
        found = items({"p": prefix}, objects, objects="p")
        assert [item["key"] for item in found] == expected
        assert all(
            item["key"].endswith("/" + item["name"]) and item["size"] == len(objects[item["key"]]) for item in found
        )


def test_no_items_and_too_many_are_refused():
    with pytest.raises(SpecError, match="stage s has no items: parameter g is an empty list"):
        items({"g": [], "h": [1]}, grid=["h", "g"])
    with pytest.raises(SpecError, match="stage s has no items: parameter g is an empty list"):
        items({"g": []}, over="g", items=3)
    with pytest.raises(SpecError, match="would have 1,002,001 items; 1,000,000 are the most"):
        items({"g": list(range(1001))} | {"h": list(range(1001))}, grid=["g", "h"])


def test_a_manifest_is_read_back():
    made = sources.dealt("x", [1.5, 2], 5)
    again = sources.from_manifest(sources.manifest(made), where="here")
    assert list(again.params()) == list(made.params())
    assert sources.manifest(again) == sources.manifest(made)


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'{"item": 0}', b'{"params": 3}', json.dumps({"params": {}}).encode() + b"\nx"]
)
def test_a_manifest_that_does_not_parse(body):
    with pytest.raises(SpecError, match=r"^here: not a manifest"):
        sources.from_manifest(body, where="here")

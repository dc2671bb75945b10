import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winbatch import spec
from winbatch.errors import SpecError

GOOD = textwrap.dedent("""\
    dag: demo
    title: Demo
    workload: demo
    parameters:
      count: {title: Count, description: How many., type: integer, default: 3, minimum: 1, maximum: 10}
      points: {title: Points, description: Which., type: array, items: {type: number}, minItems: 1, default: [1, 2]}
      where: {title: Where, description: Prefix., type: string, default: out}
      any: {title: Any, description: Number., type: number, default: 1}
      texts: {title: Texts, description: Some., type: array, default: [no]}
    stages:
      - name: work
        run: demo.work:run
        items: count
        over: points
        prefix: where
      - name: merge
        run: demo.merge:run
        inputs: [work]
    """)


@pytest.fixture
def demo():
    return spec.Spec.parse(GOOD, where="demo.yaml")


def test_every_specification_of_the_project_is_right():
    assert "ber" in spec.names()
    for name in spec.names():
        loaded = spec.load(name)
        assert loaded.validate({}) == loaded.validate(loaded.defaults)


@pytest.mark.parametrize(
    ("change", "line", "words"),
    [
        (("minimum: 1,", "minimum: one,"), 5, "parameters.count.minimum: 'one' is not of type"),
        (("default: 3", "default: 30"), 5, "the default does not fit"),
        (("items: count", "items: counts"), 13, "'counts' is no parameter"),
        (("items: count", "items: 0"), 13, "0 is less than the minimum of 1"),
        (("over: points", "over: count"), 14, "is of type integer, not array"),
        (("inputs: [work]", "inputs: [wrok]"), 18, "'wrok' is no earlier stage"),
        (("name: merge", "name: work"), 16, "a second stage 'work'"),
        (("run: demo.work:run", "run: rm -rf /"), 12, "does not match"),
        (("  any:", "  max_instances:"), 8, "a parameter that every job has"),
        (("title: Demo", "titel: Demo"), 2, "'titel' was unexpected"),
        (("title: Demo\n", ""), 1, "'title' is a required property"),
        (("title: Demo", "title: Demo\ntitel: Demo"), 3, "the field 'titel' was unexpected; here may be dag, title"),
        (("[1, 2]}", "[1, 2}"), 6, "not YAML"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(change, line, words):
    with pytest.raises(SpecError) as caught:
        spec.Spec.parse(GOOD.replace(*change, 1), where="demo.yaml")
    assert str(caught.value).startswith(f"demo.yaml:{line}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "3", "dag: x"])
def test_a_file_that_is_no_specification_is_refused(text):
    with pytest.raises(SpecError, match=r"demo\.yaml:1: "):
        spec.Spec.parse(text, where="demo.yaml")


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"coutn": "3"}, "unknown parameter 'coutn'"),
        ({"count": "0"}, "a whole number from 1 to 10 is expected"),
        ({"count": "-1"}, "a whole number from 1 to 10 is expected"),
        ({"count": "many"}, "'many' is no integer"),
        ({"count": "2.5"}, "a whole number from 1 to 10 is expected"),
        ({"count": "NaN"}, "is no integer"),
        ({"count": True}, "is not of type 'integer'"),
        ({"points": ""}, "a list of 1 to any number of values is expected"),
        ({"points": "1,x"}, "'x' is no number"),
        ({"points": "1,Infinity"}, "is no number"),
        ({"points": [1, None]}, "None is not of type 'number'"),
        ({"count": "6.022e23"}, "'6.022e23' is beyond 64 bits; a whole number from 1 to 10 is expected"),
        ({"count": "1e999"}, "'1e999' is beyond 64 bits"),
        ({"count": "1e99999999999999999999"}, "is beyond 64 bits"),
        ({"count": "1" * 400}, "is beyond 64 bits"),
        ({"count": "1" * 5000}, "is beyond 64 bits"),
        ({"count": 10**400}, "a whole number of 1329 bits is beyond 64 bits"),
        ({"count": 10**5000}, "is beyond 64 bits"),
        ({"count": 6.022e23}, "6.022e+23 is beyond 64 bits"),
        ({"count": "010"}, "'010' is no integer"),
        ({"count": "1_0"}, "'1_0' is no integer"),
        ({"count": "٣"}, "'٣' is no integer"),
        ({"any": "6.022e23"}, "6.022e+23 is beyond 64 bits; a number from -9223372036854775808 to 9223372036854775807"),
        ({"any": "-6.022e23"}, "-6.022e+23 is beyond 64 bits"),
        ({"any": 2.0**63}, "is beyond 64 bits"),
        # The double next to it is 2**63.
        ({"any": 2**63 - 1}, "is beyond 64 bits"),
        ({"any": "1e999"}, "'1e999' is beyond what a double can hold"),
        ({"any": "1" * 400}, "is beyond what a double can hold"),
        ({"any": float("inf")}, "inf is beyond what a double can hold"),
        ({"any": float("nan")}, "nan is beyond what a double can hold"),
        ({"any": 10**400}, "a whole number of 1329 bits is beyond 64 bits"),
        ({"points": "1,6.022e23"}, "6.022e+23 is beyond 64 bits"),
        ({"points": [1, -(10**30)]}, "is beyond 64 bits"),
        ({"texts": [1]}, "1 is not of type 'string'"),
        ({"idle_instances": 5, "max_instances": 2}, "is more than max_instances"),
    ],
)
def test_bad_parameters_are_one_clear_line(demo, given_, words):
    with pytest.raises(SpecError) as caught:
        demo.validate(given_)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_numbers_are_bounded_in_the_form_as_everywhere(demo):
    bounds = {"minimum": -(2**63), "maximum": 2**63 - 1}
    assert demo.parameters["any"].items() >= bounds.items()
    assert demo.parameters["points"]["items"] == {"type": "number", **bounds}
    assert demo.parameters["texts"]["items"] == {"type": "string"}
    assert (demo.parameters["count"]["minimum"], demo.parameters["count"]["maximum"]) == (1, 10)
    for most in (2**63 - 1024, -(2**63)):
        assert demo.validate({"any": most, "points": [most]})["points"] == [float(most)]
    for parameters in (spec.load(name).parameters for name in spec.names()):
        for name, schema in parameters.items():
            inner = schema.get("items", schema)
            if inner["type"] in ("integer", "number"):
                assert {"minimum", "exclusiveMinimum"} & set(inner), name
                assert {"maximum", "exclusiveMaximum"} & set(inner), name


def test_text_becomes_values(demo):
    values = demo.validate({"count": "4", "points": " 1, 2.5 ,-3e0", "where": "7"})
    assert (values["count"], values["points"], values["where"]) == (4, [1.0, 2.5, -3.0], "7")


@given(st.lists(st.floats(-(2.0**63), 2.0**62), min_size=1, max_size=20))
def test_numbers_survive_the_command_line(points):
    demo = spec.Spec.parse(GOOD, where="demo.yaml")
    assert demo.validate({"points": ",".join(map(repr, points))})["points"] == points


def test_the_form_and_the_command_line_mean_the_same_point(demo):
    assert demo.validate({"points": [8]}) == demo.validate({"points": "8.0"})
    assert isinstance(demo.validate({"count": 4.0})["count"], int)


@pytest.mark.parametrize("name", ["nope", "../ber", "", "BER"])
def test_an_unknown_dag_names_those_there_are(name):
    with pytest.raises(SpecError, match="there are ber"):
        spec.load(name)


def test_a_file_must_be_named_after_its_dag(tmp_path):
    (tmp_path / "other.yaml").write_text(GOOD)
    with pytest.raises(SpecError, match=r"name the file demo\.yaml"):
        spec.load("other", tmp_path)

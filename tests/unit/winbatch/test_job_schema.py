"""The schema for editors and the reader of job files take the same files, but for what is listed here."""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from hypothesis import event, given
from hypothesis import strategies as st

from scripts.checks import job_schema
from winbatch import job_fields, spec
from winbatch.errors import SpecError
from winbatch.spec import Spec

ROOT = Path(__file__).resolve().parents[3]
FILE, TEXT = job_schema.page(ROOT)
SCHEMA = json.loads(TEXT)
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
FILES = [
    path
    for folder in ("dags/jobs", "tests/e2e/jobs", "scripts/bench/files")
    for path in sorted((ROOT / folder).glob("*.yaml"))
]
IN_DOCS = [
    block
    for page in sorted((ROOT / "docs").glob("*.md"))
    for block in re.findall(r"^```yaml\n(dag: .*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
]

# Each field at least once.
FULL = {
    "dag": "demo",
    "title": "Demo",
    "description": "What it does.",
    "workload": "tools",
    "retry": {"program": {"attempts": 5, "backoff": 10}, "memory": {"attempts": 1}},
    "parameters": {
        "count": {
            "title": "Count",
            "description": "How many.",
            "description_md": "*How* many.",
            "type": "integer",
            "default": 3,
            "minimum": 1,
            "exclusiveMinimum": 0,
            "maximum": 10,
            "exclusiveMaximum": 11,
            "multipleOf": 1,
            "examples": [3, 5],
        },
        "points": {
            "title": "Points",
            "description": "Which.",
            "type": "array",
            "items": {"type": "number", "minimum": -50},
            "default": [1, 2.5],
            "minItems": 1,
            "maxItems": 9,
            "uniqueItems": True,
        },
        "where": {
            "title": "Where",
            "description": "Prefix.",
            "type": "string",
            "default": "sim/x",
            "pattern": "^[a-z/]+$",
            "minLength": 1,
            "maxLength": 20,
            "format": "multiline",
        },
        "mode": {
            "title": "Mode",
            "description": "One of two.",
            "type": "string",
            "enum": ["slow", "fast"],
            "default": "slow",
            "values_display": {"slow": "Slow and sure"},
        },
        "only": {"title": "Only", "description": "One.", "type": "number", "const": 0.5, "default": 0.5},
        "dry": {"title": "Dry", "description": "Nothing.", "type": "boolean", "default": False},
    },
    "stages": [
        {
            "name": "deal",
            "workload": "ber",
            "run": "demo.work:deal",
            "items": "count",
            "over": "points",
            "params": ["mode"],
            "groups": True,
            "item_seconds": 0.5,
            "timeout": 60,
            "limits": {"log_lines": 10, "log_mib": 0.5, "disk_mib": 3},
            "prefix": "where",
        },
        {"name": "cross", "run": "demo.work:cross", "grid": ["points"], "repetitions": 2, "inputs": ["deal"]},
        {
            "name": "rows",
            "command": ["tool.exe", "{strike}", "{item}", "{outputs}/x"],
            "csv": "where",
            "columns": {"strike": "number", "label": "string"},
        },
        {"name": "files", "command": ["tool.exe", "{name}"], "objects": "where", "fetch": {"in/data": "sim/{key}"}},
        {"name": "again", "command": ["tool.exe"], "from": "files"},
    ],
}


def refused(text, where="demo.yaml"):
    """What the reader says of a job file, a line each."""
    try:
        Spec.parse(text, where=where)
    except SpecError as error:
        return error.problems
    return ()


def as_an_editor_reads(text):
    """By YAML 1.1, which differs from an editor's 1.2 in words that none of these files has."""
    return yaml.safe_load(text)


def changed(*path, to):
    made = copy.deepcopy(FULL)
    above = made
    for step in path[:-1]:
        above = above[step]
    above[path[-1]] = to
    return made


def without(*path):
    made = copy.deepcopy(FULL)
    above = made
    for step in path[:-1]:
        above = above[step]
    del above[path[-1]]
    return made


def test_the_schema_is_one_and_is_what_the_code_says():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(job_fields.SCHEMA)
    assert FILE.read_text(encoding="utf-8") == TEXT, "make format"


def test_every_field_has_its_line_and_is_in_the_example():
    stages = {name for stage in FULL["stages"] for name in stage}
    parameters = {name for parameter in FULL["parameters"].values() for name in parameter}
    stage = job_fields.SCHEMA["properties"]["stages"]["items"]["properties"]
    for fields, used in (
        (job_fields.SCHEMA["properties"], set(FULL)),
        (stage, stages),
        (stage["limits"]["properties"], set(FULL["stages"][0]["limits"])),
        (job_fields.PARAMETER_FIELDS, parameters),
    ):
        assert used == set(fields)
        for name, field in fields.items():
            assert field["description"].endswith("."), name
            assert "\n" not in field["description"], name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_job_file_is_right_to_both_and_names_its_schema(path):
    text = path.read_text(encoding="utf-8")
    assert refused(text) == ()
    assert list(VALIDATOR.iter_errors(as_an_editor_reads(text))) == []
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert (path.parent / named[1]).resolve() == FILE


def test_the_docs_examples_are_right_to_both():
    assert IN_DOCS
    for text in IN_DOCS:
        assert refused(text) == ()
        assert list(VALIDATOR.iter_errors(as_an_editor_reads(text))) == []


def test_the_example_is_right_to_both():
    assert refused(json.dumps(FULL)) == ()
    assert list(VALIDATOR.iter_errors(FULL)) == []


# Rules on several fields, or on what a text means: the reader's words, and an example of each that the schema takes.
UNSAID = {
    r"its dag is|name the file": None,
    r"lie objects of several jobs": changed("dag", to="results"),
    r"is a device of Windows; choose": changed("workload", to="con"),
    r"is a parameter that every job has": changed("parameters", "shard_items", to=FULL["parameters"]["count"]),
    r"the default does not fit": changed("parameters", "count", "default", to=30),
    r"is beyond (64 bits|what a double can hold); a parameter's numbers": changed(
        "parameters", "points", "default", to=[1e30]
    ),
    r"is no regular expression": changed("parameters", "where", "pattern", to="["),
    r"a second stage '": changed("stages", 1, "name", to="deal"),
    r"a second stage with groups": changed("stages", 1, "groups", to=True),
    r"either `run` or `command`": changed("stages", 2, "run", to="m:f"),
    r"a stage needs `run": without("stages", 4, "command"),
    r"a batch file is run by a shell": changed("stages", 2, "command", 0, to="tool.bat"),
    r"items are said by '\w+' already": changed("stages", 1, "items", to=2),
    r"'over' deals values out": changed("stages", 1, "over", to="points"),
    r"repetitions are of a grid": changed("stages", 0, "repetitions", to=2),
    r"a csv needs its columns": without("stages", 2, "csv"),
    r"groups are made by": changed("stages", 2, "groups", to=True),
    r"is no earlier stage": changed("stages", 4, "from", to="deals"),
    r"is no parameter of this job": changed("stages", 0, "over", to="point"),
    r"is of type \w+, not": changed("stages", 0, "over", to="count"),
    r"an item's parameter cannot be called": changed("stages", 2, "columns", to={"item": "string", "strike": "number"}),
    r"its items get '\w+' twice": changed("stages", 1, "params", to=["points"]),
    r"unknown placeholder": changed("stages", 2, "command", 1, to="{strke}"),
    r"that belongs to no placeholder": changed("stages", 2, "command", 1, to="{"),
    r"call the file otherwise": changed("stages", 3, "fetch", to={"nul.txt": "x"}),
}


@pytest.mark.parametrize("words", UNSAID)
def test_what_the_schema_cannot_say_the_reader_does(words):
    made = UNSAID[words]
    if made is None:
        with pytest.raises(SpecError, match=words):
            Spec.parse(json.dumps(FULL), where="jobs/other.yaml", dag="other")
        return
    assert list(VALIDATOR.iter_errors(made)) == []
    said = refused(json.dumps(made))
    assert said
    assert any(re.search(words, line) for line in said), said


# How a value is written, which a schema does not see. An editor reads them by YAML 1.2; here is what it makes of each.
WRITTEN = [
    # To the reader numbers are as in JSON, and what is in quotes is text.
    ("timeout: 60", "timeout: 0x3C", 60, True),
    ("timeout: 60", "timeout: 060", 60, True),
    ("timeout: 60", "timeout: +60", 60, True),
    ("timeout: 60", "timeout: .5", 0.5, True),
    ("groups: true", "groups: 'yes'", "yes", True),
    # To the reader plain words are text, whatever YAML takes them for.
    ("title: Demo", "title: null", None, False),
    ("dag: demo", "dag: true", True, False),
    ("groups: true", "groups: YES", "YES", False),
]


@pytest.mark.parametrize(("old", "new", "value", "taken"), WRITTEN)
def test_how_a_value_is_written_only_the_reader_knows(old, new, value, taken):
    text = yaml.safe_dump(FULL, sort_keys=False)
    assert text.count(old) == 1
    key = old.partition(":")[0]
    made = changed(key, to=value) if key in FULL else changed("stages", 0, key, to=value)
    assert VALIDATOR.is_valid(made) is taken
    assert bool(refused(text.replace(old, new))) is taken


NUMBERS = [0, 1, 3, -1, 1.0, 0.5, 10**6, 10**6 + 1, 2**53 + 1, 2**62, 2**70, 1e30, -1e30]
TEXTS = [
    "",
    "x",
    "a b",
    "points",
    "count",
    "where",
    "deal",
    "m:f",
    "Ü",
    "a\n",
    "{key}",
    "{",
    "[",
    "../x",
    "con",
    "a.bat",
]
LISTS = [[], ["x"], ["points"], [1], [[]], ["points", "points"]]
MAPPINGS = [{}, {"x": 1}, {"x": "y"}, {"type": "number"}, {"attempts": 3}, {"strike": "number"}]
VALUES = st.sampled_from([*NUMBERS, *TEXTS, "number", "string", *LISTS, *MAPPINGS])


def paths(value, at=()):
    yield at
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, child in children:
        yield from paths(child, (*at, step))


PATHS = [path for path in paths(FULL) if path]


def vary(made, path, how, value, place):
    above = made
    for step in path[:-1]:
        above = above[step]
    last = path[-1]
    if how == "other":
        above[last] = value
    elif how == "missing":
        del above[last]
    elif how == "unknown" and isinstance(above, dict):
        above["tiemout"] = value
    elif how == "misspelt" and isinstance(above, dict):
        at = place % (len(last) + 1)
        above[last[:at] + "x" + last[at:]] = above.pop(last)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PATHS),
            st.sampled_from(["other", "other", "missing", "unknown", "misspelt"]),
            VALUES,
            st.integers(0, 20),
        ),
        min_size=1,
        max_size=2,
    )
)
def test_both_refuse_or_neither_does(variations):
    made = copy.deepcopy(FULL)
    for path, how, value, place in variations:
        try:
            vary(made, path, how, copy.deepcopy(value), place)
        except (LookupError, TypeError):
            continue  # the first variation has taken the second one's place away
    taken, said = VALIDATOR.is_valid(made), refused(json.dumps(made))
    if taken:
        event("taken" if not said else "refused by a rule")
        assert [line for line in said if not any(re.search(words, line) for words in UNSAID)] == []
    else:
        event("refused by the schema")
        assert said, [error.message for error in VALIDATOR.iter_errors(made)]


NINE = """\
dag: Demo
titel: A demo
workload: tools
parameters:
  count: {title: Count, description: How many., type: integer, default: many}
  points: {title: Points, description: Which., type: aray, items: {type: number}, default: [1]}
stages:
  - name: work
    comand: [tool.exe, "{cuont}"]
    grid: [point]
    params: [count]
    timeout: 0
  - name: merge
    run: demo.merge:run
    inputs: [wrok]
    from:
"""


def test_all_that_is_wrong_is_said_at_once_and_what_only_follows_is_not():
    with pytest.raises(SpecError) as caught:
        Spec.parse(NINE, where="jobs/demo.yaml")
    head, *lines = str(caught.value).split("\n")
    assert head == "jobs/demo.yaml: 9 mistakes"
    expected = [
        "1: dag: 'Demo' does not match; a name is lower-case letters",
        "2: titel: the field 'titel' was unexpected (did you mean `title`?); here may be dag, title",
        "5: parameters.count.default: 'many' is not of type 'integer'; a number is written like",
        "6: parameters.points.type: 'aray' is not one of ['integer', 'number', 'string', 'boolean', 'array'] (did you",
        "9: stages[0].comand: the field 'comand' was unexpected (did you mean `command`?)",
        "10: stages[0].grid[0]: 'point' is no parameter of this job (did you mean `points`?); there are count, points",
        "12: stages[0].timeout: 0 is less than or equal to the minimum of 0",
        "15: stages[1].inputs[0]: 'wrok' is no earlier stage (did you mean `work`?)",
        "16: a value is missing",
    ]
    assert [line[: len(f"jobs/demo.yaml:{each}")] for line, each in zip(lines, expected, strict=True)] == [
        f"jobs/demo.yaml:{each}" for each in expected
    ]


def test_a_mistake_in_every_line_is_counted_and_the_first_are_shown():
    fields = "".join(f"zz{number}: 1\n" for number in range(200))
    with pytest.raises(SpecError) as caught:
        Spec.parse(fields, where="jobs/demo.yaml")
    lines = str(caught.value).split("\n")
    # The 200 fields, and those that a job has to have.
    assert (lines[0], lines[-1]) == ("jobs/demo.yaml: 205 mistakes", "jobs/demo.yaml: and 155 more")
    assert len(lines) == 52


def test_all_files_are_told_of_at_once(tmp_path):
    jobs = tmp_path / "jobs"
    jobs.mkdir()
    for name in ("one", "two"):
        (jobs / f"{name}.yaml").write_text(json.dumps(FULL | {"dag": name, "titel": "x"}))
    (jobs / "three.yml").write_text("x")
    with pytest.raises(SpecError) as caught:
        spec.load_all(jobs)
    assert str(caught.value).split("\n")[0] == "jobs: 3 mistakes"
    assert [line.split(" ")[0] for line in caught.value.problems] == [
        "jobs/three.yml",
        "jobs/one.yaml:1:",
        "jobs/two.yaml:1:",
    ]

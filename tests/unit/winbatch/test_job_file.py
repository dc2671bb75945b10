"""What a person writes into a job file is what the job has, and what cannot be meant is named with its line."""

import textwrap

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from winbatch import job_file, spec
from winbatch.errors import SpecError
from winbatch.spec import Spec

GOOD = textwrap.dedent("""\
    dag: demo
    title: Demo
    workload: demo
    parameters:
      p: {title: T, description: D, type: string, default: x}
    stages:
      - name: work
        command: [program, word]
    """)


@pytest.fixture(params=["CSafeLoader", "SafeLoader"], autouse=True)
def loader(request, monkeypatch):
    """Both of PyYAML's parsers: an Airflow environment may have been built without libyaml."""
    monkeypatch.setattr(job_file, "_LOADER", getattr(yaml, request.param))


def parse(text):
    return Spec.parse(text, where="jobs/demo.yaml")


def changed(old, new):
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def line_of(text):
    with pytest.raises(SpecError) as caught:
        parse(text)
    (said,) = caught.value.lines
    return split(said)


def split(said):
    assert "\n" not in said
    assert len(said) < 700
    assert said.startswith("jobs/demo.yaml:")
    number, words = said.removeprefix("jobs/demo.yaml:").split(": ", 1)
    return int(number), words


WORDS = [
    "3.10", "010", "0x1F", "0o17", "12:30", "1_000", "no", "on", "Yes", "y", "1e3", "1E+05", ".5", "+1", "-0", ".inf",
    "~", "null", "2026-11-29", "2026-11-29 12:30:00", "=", "<<", "00", "1.50", "1,000",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_words_reach_the_program_as_written(word):
    listed = changed("[program, word]", f"\n      - program\n      - {word}")
    assert parse(listed).stages[0].command == ("program", word)
    if "," not in word:
        assert parse(changed("word]", f"!!str {word}]")).stages[0].command == ("program", word)
        assert parse(changed("word]", f"{word}, last]")).stages[0].command == ("program", word, "last")
    assert parse(changed("word]", f"'{word}']")).stages[0].command == ("program", word)


# Braces are of templates, and the others are line breaks to YAML, or no text.
EXCLUDED = "{}\u2028\u2029\ufeff\ufffe\uffff"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=EXCLUDED)), max_size=5))
def test_any_text_in_quotes_reaches_the_program(words):
    quoted = "".join("\n      - '" + word.replace("'", "''") + "'" for word in ["program", *words])
    assert parse(changed("[program, word]", quoted)).stages[0].command == ("program", *words)


@pytest.mark.parametrize("title", ["3.10", "no", "12:30", "2026-11-29"])
def test_so_do_all_other_texts(title):
    found = parse(changed("title: Demo", f"title: {title}"))
    assert found.title == title
    assert parse(changed("default: x", f"default: {title}")).defaults["p"] == title


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        ("integer", "3", 3),
        ("integer", "1e3", 1000),
        ("integer", "9223372036854775807", 2**63 - 1),
        ("number", "3", 3),
        ("number", "1e3", 1000.0),
        ("number", "-0.5", -0.5),
        ("boolean", "true", True),
        ("boolean", "FALSE", False),
        ("boolean", "no", False),
        ("boolean", "on", True),
        ("string", "no", "no"),
        ("string", "010", "010"),
        ("string", "''", ""),
        ("array", "[no, 010]", ["no", "010"]),
        ("array, items: {type: string}", "[3.10, ~]", ["3.10", "~"]),
        ("array, items: {type: number}", "[1, 2.50]", [1, 2.5]),
        ("array, items: {type: boolean}", "[yes, off]", [True, False]),
        ("array, items: {type: array, items: {type: integer}}", "[[1], [2, 3]]", [[1], [2, 3]]),
    ],
)
def test_a_parameters_values_are_of_its_type(kind, written, value):
    found = parse(changed("type: string, default: x", f"type: {kind}, default: {written}")).defaults["p"]
    assert (found, type(found)) == (value, type(value))


def test_a_choice_is_of_the_parameters_type_too():
    found = parse(changed("default: x", "default: on, enum: [on, off, no]"))
    assert found.validate({"p": "no"})["p"] == "no"
    with pytest.raises(SpecError, match="one of on, off, no is expected"):
        found.validate({"p": "false"})


@pytest.mark.parametrize(
    ("kind", "written", "words"),
    [
        ("integer", "010", "'010' is not of type 'integer'; a number is written like 10, 0.5 or 1e3"),
        ("integer", "0x1F", "'0x1F' is not of type 'integer'"),
        ("integer", "1_000", "'1_000' is not of type 'integer'"),
        ("integer", "12:30", "'12:30' is not of type 'integer'"),
        ("integer", "'3'", "'3' is not of type 'integer'; a number is written like 10, 0.5 or 1e3, without quotes"),
        ("integer", "1.5", "'1.5' is not of type 'integer'"),
        ("integer", "6.022e23", "'6.022e23' is beyond 64 bits"),
        ("integer", "1e999999999999", "'1e999999999999' is beyond 64 bits"),
        ("integer", "1" * 400, "is beyond 64 bits"),
        ("integer", "9223372036854775808", "is beyond 64 bits"),
        ("number", "6.022e23", "6.022e+23 is beyond 64 bits"),
        ("number", "1e999", "'1e999' is beyond what a double can hold"),
        ("number", "1" * 400, "is beyond what a double can hold"),
        ("number", ".inf", "'.inf' is not of type 'number'"),
        ("number", "no", "'no' is not of type 'number'"),
        ("boolean", "'no'", "'no' is not of type 'boolean'"),
        ("boolean", "1", "'1' is not of type 'boolean'"),
        ("number", "1, maximum: 1e30", "1e+30 is beyond 64 bits"),
        ("number", "1, enum: [1, 6.022e23]", "6.022e+23 is beyond 64 bits"),
        ("number", "1, minimum: 0x0", "p.minimum: '0x0' is not of type"),
        (
            "string",
            "x, minimun: 3",
            "the field 'minimun' was unexpected (did you mean `minimum`?); here may be title, description",
        ),
        ("string", "x, section: Mine", "the field 'section' was unexpected"),
        ("string", "x, pattern: '['", "p.pattern: '[' is no regular expression: unterminated character set"),
        ("array", "[1], items: {type: number, minimun: 3}", "the field 'minimun' was unexpected"),
        (
            "array",
            "[1], items: {minimum: 3}",
            "p.items: 'type' is a required property: What its values are, such as number",
        ),
        ("array", "[1], items: {type: float}", "p.items.type: 'float' is not one of ['integer', 'number', "),
    ],
)
def test_a_parameter_that_cannot_be_meant(kind, written, words):
    number, said = line_of(changed("type: string, default: x", f"type: {kind}, default: {written}"))
    assert number == 5
    assert words in said


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        # Given twice, at any depth.
        (GOOD + "    fetch: {a: x}\n    fetch: {b: y}\n", 10, "'fetch' is given twice, first in line 9; keep one"),
        (GOOD + "title: again\n", 9, "'title' is given twice, first in line 2"),
        (changed("default: x", "default: x,\n      default: y"), 6, "'default' is given twice, first in line 5"),
        (GOOD + "    fetch: {a: x, 'a': y}\n", 9, "'a' is given twice"),
        # Keys that are no text.
        (changed("  p:", "  no:"), 5, "the key no is a boolean to YAML, not text; write it in quotes"),
        (changed("  p:", "  on:"), 5, "the key on is a boolean"),
        (changed("  p:", "  1:"), 5, "the key 1 is a number"),
        (changed("  p:", "  ~:"), 5, "the key ~ is nothing"),
        (changed("  p:", "  2026-11-29:"), 5, "the key 2026-11-29 is a time"),
        (changed("  p:", "  [a]:"), 5, "a key is a text, not a list"),
        (GOOD + "    fetch: {1: x}\n", 9, "the key 1 is a number"),
        # Fields that nobody knows.
        (changed("title: Demo", "titel: Demo"), 2, "the field 'titel' was unexpected (did you mean `title`?); here"),
        (GOOD + "    tiemout: 3\n", 9, "stages[0].tiemout: the field 'tiemout' was unexpected (did you"),
        (changed("  p:", "  P:"), 5, "the name 'P' does not match"),
        # Tabs.
        (changed("  - name", "\t- name"), 7, "a tab, which YAML does not take for space"),
        (changed("  p:", "\tp:"), 5, "a tab"),
        (changed("title: Demo", "title:\tDemo"), 2, "a tab"),
        (changed("title: Demo", "title: Demo\t# x"), 2, "a tab"),
        (changed("[program, word]", "[program,\n\tword]"), 9, "a tab"),
        # What YAML has beside.
        (GOOD + "---\n" + GOOD, 9, "a second document begins (---); a file holds one job"),
        (changed("word]", "!!binary aGk=]"), 8, "the tag !!binary has no meaning here"),
        (changed("word]", "!!python/name:os.system x]"), 8, "the tag !!python/name:os.system has no meaning here"),
        (changed("word]", "!mine x]"), 8, "the tag !mine has no meaning here"),
        (changed("{title: T", "!!omap {title: T"), 5, "the tag !!omap has no meaning here"),
        (changed("word]", "*word]"), 8, "the alias *word names no anchor that stands before it"),
        (changed("[program, word]", "&a [program, *a]"), 8, "the alias *a names no anchor that stands before it"),
        (changed("demo\ntitle", "demo\n<<: [x]\ntitle"), 2, "<< takes the fields of other mappings over"),
        (changed("title: Demo", "title:"), 2, "a value is missing; an empty text is written ''"),
        (changed("[program, word]", "[program, 'word]"), 9, "not YAML: while scanning a quoted scalar"),
        (changed("title: Demo", "title: a: b"), 2, "not YAML: mapping values are not allowed"),
        (changed("Demo", "De\0mo"), 2, "the control character U+0000 is no text"),
        (changed("Demo", "De\x1bmo"), 2, "the control character U+001B is no text"),
        ("", 1, "the file is empty; a job specification is expected"),
        ("# nothing yet\n", 1, "the file is empty"),
        ("[" * 100_000, 1, "values lie in more than 32 others"),
        ("#" * (1 << 20) + "\n", 1, "larger than 1 MiB"),
        # Names that Windows cannot have.
        (changed("dag: demo", "dag: con"), 1, "'con' is a device of Windows; choose another name"),
        (changed("dag: demo", "dag: results"), 1, "below 'results' lie objects of several jobs; choose another name"),
        (changed("dag: demo", "dag: inputs"), 1, "below 'inputs' lie objects of several jobs; choose another name"),
        (changed("workload: demo", "workload: aux"), 3, "'aux' is a device of Windows"),
        (GOOD + "    fetch:\n      in/nul.txt: x\n", 10, "'nul.txt' is a device of Windows; call the file otherwise"),
        (GOOD + "    fetch:\n      data.: x\n", 10, "'data.' ends with '.', which Windows drops"),
        (GOOD + "    fetch:\n      data: x\n      Data: y\n", 11, "'Data' differs from 'data' in case only"),
        (GOOD + "    fetch:\n      data: x\n      data/more: y\n", 11, "'data' is a file and a folder"),
        (changed("dag: demo", 'dag: "demo\\n"'), 1, "'demo\\n' does not match"),
        (changed("name: work", "name: |\n      work"), 7, "'work\\n' does not match"),
        (changed("  p:", '  "p\\n":'), 5, "the name 'p\\n' does not match"),
        # Numbers of a stage.
        (GOOD + "    timeout: 1e999\n", 9, "'1e999' is beyond what a double can hold"),
        (GOOD + "    timeout: 12:30\n", 9, "'12:30' is not of type 'number'"),
        (GOOD + "    items: 010\n", 9, "'010' does not match; a parameter's name is"),
        (changed("[program", "['run.bat '"), 8, "a batch file is run by a shell"),
        (changed("[program", "['{item}.cmd'"), 8, "a batch file is run by a shell"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_named_with_its_line(text, line, words):
    number, said = line_of(text)
    assert words in said
    assert number == line


PIECES = [
    "no",
    "~",
    "[",
    "]",
    "{",
    "}",
    "- ",
    ": ",
    "\n",
    "  ",
    "\t",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "'",
    '"',
    "|\n",
    "1e999",
]
PIECES += [
    "{x}",
    "? ",
    "%",
    "@",
    "\0",
    "...",
    "\n---\n",
    "items: {}",
    "type: array",
    "enum: []",
    "con",
    "pattern: '['",
    "ü",
]


@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.sampled_from(PIECES), st.integers(0, 8)), max_size=4))
def test_whatever_stands_there_it_is_a_job_or_a_line(changes):
    text = GOOD
    for at, piece, instead in changes:
        text = text[:at] + piece + text[at + instead :]
    for error in refused(text):
        problems = list(map(split, error.problems))
        assert problems == sorted(problems, key=lambda problem: problem[0])
        assert len(set(error.problems)) == len(problems)
        head = [f"jobs/demo.yaml: {len(problems)} mistakes"] if len(problems) > 1 else []
        assert str(error).split("\n") == [*head, *error.problems]


def refused(text):
    try:
        parse(text).validate({})
    except SpecError as error:
        return [error]
    return []


def test_a_key_in_quotes_is_text():
    assert parse(changed("  p:", '  "no":')).validate({"no": "1"})["no"] == "1"


def test_what_is_written_once_may_be_used_again():
    text = changed("{title: T, description: D, type: string, default: x}", "&p\n    title: T\n    description: D\n"
                   "    type: string\n    default: x\n  q: {<<: *p, title: Q}\n  r: *p")  # fmt: skip
    found = parse(text).parameters
    assert found["r"] == found["p"]
    assert found["q"] == {**found["p"], "title": "Q"}


def test_aliases_within_aliases_are_counted():
    bomb = "a: &a [x]\n" + "".join(f"b{n}: &b{n} [{', '.join([f'*{name}'] * 10)}]\n" for n, name in _names(6))
    assert line_of(bomb) == (6, "more than 100,000 values, with aliases filled in")


def _names(count):
    return [(n, f"b{n - 1}" if n else "a") for n in range(count)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_with_and_without_a_mark(encoding):
    assert parse(changed("Demo", "Größe 漢字").encode(encoding)).title == "Größe 漢字"
    assert parse(GOOD.replace("\n", "\r\n").encode(encoding))


@pytest.mark.parametrize(
    ("encoding", "line", "words"),
    [
        ("cp1252", 2, "not YAML in UTF-8: the byte 0xF6, which is 'ö' in Windows' code page 1252; save it as UTF-8"),
        ("utf-16", 1, "not YAML in UTF-8: it is UTF-16; save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8"),
        ("utf-16-le", 1, "not YAML in UTF-8: it holds NUL characters, as UTF-16 without its byte order mark does"),
    ],
)
def test_any_other_encoding_is_named_with_the_way_to_convert_it(encoding, line, words):
    text = changed("Demo", "größe" if encoding == "cp1252" else "Demo")
    number, said = line_of(text.encode(encoding))
    assert (number, said[: len(words)]) == (line, words)


@pytest.fixture
def jobs(tmp_path):
    folder = tmp_path / "jobs"
    folder.mkdir()
    (folder / "demo.yaml").write_text(GOOD)
    return folder


SAME_ON_WINDOWS = pytest.mark.posix("on Windows it is demo.yaml")


@pytest.mark.parametrize(
    "name",
    [
        *("demo.yml", "demo.yaml~", "1st.yaml", "notes.txt"),
        *(pytest.param(name, marks=SAME_ON_WINDOWS) for name in ("Demo.yaml", "demo.YAML")),
    ],
)
def test_a_stray_file_is_named(jobs, name):
    (jobs / name).write_text(GOOD)
    (said,) = spec.strays(jobs)
    assert said.startswith(f"jobs/{name} is no job: a job's file is called as its DAG")
    with pytest.raises(SpecError) as caught:
        spec.load_all(jobs)
    assert str(caught.value) == said
    assert spec.names(jobs) == ["demo"]
    assert spec.load("demo", jobs).dag == "demo"
    with pytest.raises(SpecError) as caught:
        spec.load("other", jobs)
    assert str(caught.value) == f"unknown DAG 'other'; there are demo (dags/jobs/*.yaml); {said}"


def test_a_folder_is_no_job(jobs):
    (jobs / "more.yaml").mkdir()
    assert [said.partition(" ")[0] for said in spec.strays(jobs)] == ["jobs/more.yaml"]


def test_hidden_files_are_no_jobs(jobs):
    for name in ("._demo.yaml", ".demo.yaml.swp", ".DS_Store"):
        (jobs / name).write_bytes(b"Mac OS X        \0")
    (jobs / ".git").mkdir()
    assert spec.names(jobs) == ["demo"]
    assert [each.dag for each in spec.load_all(jobs)] == ["demo"]
    with pytest.raises(
        SpecError, match=r"unknown DAG '\._demo' \(did you mean `demo`\?\); there are demo \(dags/jobs/\*\.yaml\)$"
    ):
        spec.load("._demo", jobs)

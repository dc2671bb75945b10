"""What may stand in a job specification's stages, and what is said when something else stands there."""

import textwrap

import pytest

from winbatch.attempts import POLICY
from winbatch.errors import SpecError
from winbatch.spec import Spec

HEAD = textwrap.dedent("""\
    dag: demo
    title: Demo
    workload: demo
    parameters:
      count: {title: C, description: D, type: integer, default: 3}
      speed: {title: C, description: D, type: number, default: 3}
      points: {title: P, description: D, type: array, items: {type: number}, default: [1, 2]}
      others: {title: P, description: D, type: array, items: {type: string}, default: [a]}
      where: {title: W, description: D, type: string, default: sim/x}
      item: {title: W, description: D, type: string, default: x}
    stages:
    """)
FIRST = HEAD.count("\n") + 1


def parse(stages, head=HEAD):
    return Spec.parse(head + textwrap.indent(textwrap.dedent(stages), "  "), where="demo.yaml")


GOOD = [
    "- {name: a, run: 'm:f'}",
    "- {name: a, run: 'm:f', items: count, over: points, groups: true}",
    "- {name: a, run: 'm:f', items: 5}",
    "- {name: a, run: 'm:f', workload: another-one}",
    "- {name: a, command: [x, '{app}/a.ps1']}",
    "- {name: a, command: [x.exe], grid: [points, others], repetitions: 3, groups: true}",
    "- {name: a, command: [x.exe, 1, 2.5], grid: [points], repetitions: count, item_seconds: speed}",
    "- {name: a, command: ['{points}', '{repetition}', '{item}', '{job}'], grid: [points], repetitions: 2}",
    "- {name: a, command: [x, '{{literal}}', '{inputs}/a', '{outputs}/b'], timeout: 5, item_seconds: 0.5}",
    "- {name: a, command: [x, '{strike}'], csv: where, columns: {strike: number, name: string}}",
    "- {name: a, command: [x, '{key}', '{name}', '{size}'], objects: where, fetch: {in/x.dat: 'sim/{name}/{item}'}}",
    "- {name: a, run: 'm:f', objects: where, repetitions: 2}",
    "- {name: a, command: [x], grid: [points]}\n- {name: b, from: a, params: [count], command: ['{points}{count}']}",
    "- {name: a, run: 'm:f'}\n- {name: b, from: a, run: 'm:g', inputs: [a]}\n- {name: c, from: b, run: 'm:g'}",
    "- {name: a, run: 'm:f', params: [where, count], prefix: where}",
    "- {name: a, run: 'm:f', timeout: 7200, limits: {log_lines: 1000, log_mib: 0.5, disk_mib: 100000}}",
]


@pytest.mark.parametrize("stages", GOOD)
def test_what_may_be_said(stages):
    assert parse(stages).stages


def test_an_item_may_take_a_day_unless_its_stage_says_otherwise():
    said = parse("- {name: a, run: 'm:f'}\n- {name: b, command: [x], timeout: 5}").stages
    assert [stage.timeout for stage in said] == [86_400, 5]


BAD = [
    # What runs.
    ("- name: a", 0, "a stage needs `run: module:function` or `command"),
    ("- name: a\n  run: m:f\n  command: [x]", 2, "either `run` or `command`, not both"),
    ("- name: a\n  command: []", 1, "should be non-empty"),
    ("- name: a\n  command: rm -rf /", 1, "is not of type 'array'"),
    ("- name: a\n  command: [[x]]", 1, "is not of type"),
    ("- name: a\n  command: [tool.BAT, x]", 1, "a batch file is run by a shell"),
    ("- name: a\n  command: [tool.cmd]", 1, "a batch file is run by a shell"),
    ("- name: a\n  run: m:f\n  workload: Nobody", 2, "does not match"),
    ("- name: a\n  command: [x]\n  timeout: 0", 2, "less than or equal to the minimum of 0"),
    ("- name: a\n  command: [x]\n  timeout: .inf", 2, "'.inf' is not of type 'number'"),
    ("- name: a\n  run: m:f\n  limits: {log_mib: 0}", 2, "less than or equal to the minimum of 0"),
    ("- name: a\n  run: m:f\n  limits: {seconds: 4}", 2, "'seconds' was unexpected"),
    # Placeholders.
    (
        "- name: a\n  command: [x,\n    '{strike}']",
        2,
        "unknown placeholder {strike}; here are item, job, app, inputs, outputs",
    ),
    ("- name: a\n  command: [x, '{count}']", 1, "unknown placeholder {count}"),
    ("- name: a\n  command: [x, '{']", 1, "belongs to no placeholder"),
    ("- name: a\n  command: [x, '{item.__class__}']", 1, "belongs to no placeholder"),
    ("- name: a\n  command: [x, '${HOME}']", 1, "belongs to no placeholder"),
    ("- name: a\n  run: m:f\n  fetch:\n    x: '{name}'", 3, "unknown placeholder {name}; here are item, job"),
    ("- name: a\n  command: [x]\n  fetch:\n    x: '{inputs}'", 3, "unknown placeholder {inputs}"),
    ("- name: a\n  command: [x, '{points}']\n  grid: [others]", 1, "here are others, item"),
    ("- name: a\n  command: [x, '{name}']\n  csv: where\n  columns: {strike: number}", 1, "unknown placeholder {name}"),
    # Names of files.
    ("- name: a\n  run: m:f\n  fetch: {../x: y}", 2, "does not match"),
    ("- name: a\n  run: m:f\n  fetch: {/etc/passwd: y}", 2, "does not match"),
    ("- name: a\n  run: m:f\n  fetch: {'C:\\x': y}", 2, "does not match"),
    ("- name: a\n  run: m:f\n  fetch: {x: ''}", 2, "should be non-empty"),
    # Where items come from.
    ("- name: a\n  run: m:f\n  items: 3\n  grid: [points]", 3, "said by 'items' already"),
    ("- name: a\n  run: m:f\n  grid: [points]\n  objects: where", 3, "said by 'grid' already"),
    ("- name: a\n  run: m:f\n  grid: [points]\n  over: points", 3, "'over' deals values out over `items`"),
    ("- name: a\n  run: m:f\n  grid: [count]", 2, "'count' is of type integer, not array"),
    ("- name: a\n  run: m:f\n  grid: [nothing]", 2, "'nothing' is no parameter"),
    ("- name: a\n  run: m:f\n  grid: [points, points]", 2, "non-unique"),
    ("- name: a\n  run: m:f\n  grid: []", 2, "should be non-empty"),
    ("- name: a\n  run: m:f\n  repetitions: 3", 2, "`items` says itself"),
    ("- name: a\n  run: m:f\n  items: 2\n  repetitions: 3", 3, "`items` says itself"),
    ("- name: a\n  run: m:f\n  grid: [points]\n  repetitions: 0", 3, "0 is less than the minimum of 1"),
    ("- name: a\n  run: m:f\n  grid: [points]\n  repetitions: speed", 3, "of type number, not integer"),
    ("- name: a\n  run: m:f\n  csv: where", 2, "a csv needs its columns"),
    ("- name: a\n  run: m:f\n  columns: {x: number}", 2, "columns need a csv"),
    ("- name: a\n  run: m:f\n  csv: count\n  columns: {x: number}", 2, "of type integer, not string"),
    ("- name: a\n  run: m:f\n  csv: where\n  columns: {x: float}", 3, "'float' is not one of"),
    ("- name: a\n  run: m:f\n  csv: where\n  columns: {X: number}", 3, "does not match"),
    ("- name: a\n  run: m:f\n  objects: points", 2, "of type array, not string"),
    ("- name: a\n  run: m:f\n  from: b\n- {name: b, run: 'm:f'}", 2, "'b' is no earlier stage"),
    ("- name: a\n  run: m:f\n  from: a", 2, "'a' is no earlier stage"),
    ("- name: a\n  run: m:f\n  inputs: [a]", 2, "'a' is no earlier stage"),
    # Items' parameters.
    ("- name: a\n  run: m:f\n  params: [item]", 0, "cannot be called 'item'"),
    ("- name: a\n  run: m:f\n  csv: where\n  columns: {app: string}", 0, "cannot be called 'app'"),
    ("- name: a\n  run: m:f\n  csv: where\n  columns: {job: string}", 0, "cannot be called 'job'"),
    ("- name: a\n  run: m:f\n  grid: [points]\n  params: [points]", 0, "get 'points' twice"),
    (
        "- {name: a, run: 'm:f', params: [count]}\n- name: b\n  run: m:f\n  from: a\n  params: [count]",
        1,
        "get 'count' twice",
    ),
    # Groups, estimates.
    ("- name: a\n  run: m:f\n  groups: true", 2, "groups are made by the values of `over`"),
    (
        "- {name: a, run: 'm:f', over: points, groups: true}\n- name: b\n  run: m:f\n  over: points\n  groups: true",
        4,
        "a second stage with groups",
    ),
    ("- name: a\n  run: m:f\n  item_seconds: where", 2, "of type string, not integer or number"),
    ("- name: a\n  run: m:f\n  item_seconds: 0", 2, "0 is less than or equal to the minimum of 0"),
    ("- name: a\n  run: m:f\n  shell: true", 2, "'shell' was unexpected; here may be name, workload, run"),
]


@pytest.mark.parametrize(("stages", "line", "words"), BAD)
def test_what_is_wrong_is_named_with_its_line(stages, line, words):
    with pytest.raises(SpecError) as caught:
        parse(stages)
    assert str(caught.value).startswith(f"demo.yaml:{FIRST + line}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", POLICY)
@pytest.mark.parametrize("rule", [{"attempts": 1}, {"backoff": 0.5}, {"attempts": 5, "backoff": 60}])
def test_every_kind_of_failure_may_have_a_rule(kind, rule):
    head = HEAD.replace("stages:", f"retry:\n  {kind}: {rule}\nstages:")
    assert parse(GOOD[0], head).retry == {kind: rule}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("memroy: {attempts: 3}", "'memroy' is not one of"),
        ("memory: {}", "should be non-empty"),
        ("memory: {attempts: 0}", "less than the minimum of 1"),
        ("memory: {attempts: 2.5}", "not of type 'integer'"),
        ("memory: {backoff: -1}", "less than the minimum of 0"),
        ("memory: {backof: 1}", "'backof' was unexpected"),
        ("memory: 3", "is not of type 'object'"),
    ],
)
def test_a_rule_that_is_wrong_is_named(rule, words):
    with pytest.raises(SpecError) as caught:
        parse(GOOD[0], HEAD.replace("stages:", f"retry:\n  {rule}\nstages:"))
    assert str(caught.value).startswith(f"demo.yaml:{FIRST} :".replace(" ", ""))
    assert words in str(caught.value)

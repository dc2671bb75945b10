import dataclasses
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from scripts.terraform import plan_tables
from scripts.terraform.plan_summary import ACTIONS, summarize

WORDS = {
    "create": ["create"],
    "update": ["update"],
    "replace": ["delete", "create"],
    "delete": ["delete"],
    "forget": ["forget"],
}


def entry(address, action, *, module="", kind="x", before=None, after=None, **change):
    return {
        "address": address,
        "module_address": module,
        "mode": "managed",
        "type": kind,
        "change": {"actions": WORDS.get(action, [action]), "before": before, "after": after, **change},
    }


def test_changes_are_counted_by_action_and_module():
    summary = summarize(
        {
            "resource_changes": [
                entry("module.a.x.one", "create", module="module.a"),
                entry("module.a.x.two", "replace", module="module.a", replace_paths=[["name"]]),
                entry("y.three", "delete"),
                entry("y.moved", "no-op") | {"previous_address": "y.old"},
                entry("y.same", "no-op"),
                entry("data.z", "read") | {"mode": "data"},
            ],
            "output_changes": {"cluster": {"actions": ["update"]}, "bucket": {"actions": ["no-op"]}},
        }
    )
    assert summary.changes == 5
    assert summary.modules == {"": {"delete": 1, "move": 1}, "module.a": {"create": 1, "replace": 1}}
    assert summary.outputs == ["cluster"]
    assert summary.sentence == "1 to create, 1 to replace, 1 to delete, 1 to move, 1 output to change"
    assert summary.as_json()["resources"][-1]["because"] == ["name"]


def test_what_is_taken_over_may_have_to_be_changed_too():
    same = entry("x.one", "no-op", importing={"id": "a"})
    other = entry("x.two", "update", kind="aws_launch_template", importing={"id": "b"}, before={"a": 1}, after={"a": 2})
    anew = entry("x.three", "replace", importing={"id": "c"})
    summary = summarize({"resource_changes": [same, other, anew]})
    assert summary.sentence == "1 to replace, 2 to import"
    found = {change.address: (list(change.attributes), bool(change.interrupts)) for change in summary.resources}
    assert found == {"x.one": ([], False), "x.two": (["a"], True), "x.three": ([], False)}


def test_an_empty_plan_has_no_changes():
    assert summarize({}).changes == 0
    assert summarize({}).sentence == "No changes"


def test_names_of_attributes_are_told_and_values_never():
    change = entry(
        "x.one", "update", before={"a": "secret1", "b": 1, "c": {}}, after={"a": "secret2", "b": 1, "c": None}
    )
    change["change"]["after_unknown"] = {"d": True}
    summary = summarize({"resource_changes": [change]})
    assert summary.resources[0].attributes == ["a", "d"]
    for text in (str(summary.as_json()), plan_tables.plan_markdown(summary, "dev", "abc")):
        assert "secret" not in text


@pytest.mark.parametrize(
    ("kind", "action", "attributes", "words"),
    [
        ("aws_mwaa_environment", "update", ["requirements_s3_object_version"], "20 to 40 minutes"),
        ("aws_mwaa_environment", "update", ["tags", "tags_all"], ""),
        ("aws_mwaa_environment", "replace", ["kms_key"], "history is lost"),
        ("aws_launch_template", "update", ["user_data"], "only instances that start from now on"),
        ("aws_ecs_task_definition", "replace", ["container_definitions"], "from the next DAG release on"),
        ("aws_s3_bucket", "delete", [], "objects are lost"),
        ("aws_iam_role", "update", ["description"], ""),
        ("aws_mwaa_environment", "create", [], ""),
    ],
)
def test_what_a_change_interrupts_is_said(kind, action, attributes, words):
    after = dict.fromkeys(attributes, 1)
    (change,) = summarize({"resource_changes": [entry("a.b", action, kind=kind, before={}, after=after)]}).resources
    assert words in change.interrupts
    assert bool(change.interrupts) == bool(words)


def test_drift_is_what_the_plan_would_put_back():
    plan = {
        "resource_changes": [entry("a.changed", "update", before={"x": 2}, after={"x": 1}), entry("a.gone", "create")],
        "resource_drift": [
            entry("a.changed", "update", before={"x": 1}, after={"x": 2}),
            entry("a.gone", "delete"),
            entry("a.computed", "update", before={"y": 1}, after={"y": 2}),
            entry("a.empty", "update", before={"tags": None}, after={"tags": {}}),
        ],
    }
    summary = summarize(plan)
    assert [change.address for change in summary.drift] == ["a.changed", "a.gone"]
    assert summary.noticed == ["a.computed"]
    text = plan_tables.drift_markdown(summary)
    assert "`a.changed` has another x" in text
    assert "`a.gone` was deleted" in text


@pytest.mark.parametrize(
    ("findings", "line"),
    [
        (["CKV_WB_3 aws_x.y: a bucket has a key"], "CKV_WB_3 aws_x.y: a bucket has a key"),
        ([], "The policies forbid nothing of it."),
        (None, "Nobody looked whether the policies forbid any of it: invoke plan does"),
    ],
)
def test_what_the_policies_say_of_a_plan_is_shown_to_everybody(findings, line):
    summary = dataclasses.replace(summarize({"resource_changes": [entry("aws_x.y", "create")]}), findings=findings)
    shown = Console(width=200, record=True, file=io.StringIO())
    shown.print(*plan_tables.plan(summary), sep="\n")
    assert line in shown.export_text()
    assert line in plan_tables.plan_markdown(summary, "dev", "abc")
    assert summary.as_json()["findings"] == findings


def test_a_comment_fits_and_says_which_one_it_is():
    changes = [entry(f"module.{'m' * 100}.x.r{number}", "create") for number in range(2000)]
    text = plan_tables.plan_markdown(summarize({"resource_changes": changes}), "dev", "abc")
    assert text.startswith("<!-- winbatch plan: dev -->")
    assert "and 1750 more" in text
    assert len(text) < 65536


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["", "module.a", "module.b"]), st.text("abc", min_size=1, max_size=4)),
        st.sampled_from(sorted(WORDS)),
    )
)
def test_every_resource_is_counted_once_in_its_module_and_action(resources):
    changes = [entry(f"{module}.{name}", action, module=module) for (module, name), action in resources.items()]
    summary = summarize({"resource_changes": changes})
    assert set(summary.actions) <= set(ACTIONS)
    assert sum(summary.actions.values()) == summary.changes == len(resources)
    assert sum(count for actions in summary.modules.values() for count in actions.values()) == summary.changes

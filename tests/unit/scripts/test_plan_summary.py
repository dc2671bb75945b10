from hypothesis import given
from hypothesis import strategies as st

from scripts.plan_summary import ACTIONS, summarize


def change(address, action, module=""):
    resource = {"addr": address, "module": module}
    return {"type": "planned_change", "change": {"resource": resource, "action": action}}


def test_changes_are_counted_by_action_and_module():
    summary = summarize(
        [
            {"type": "version", "terraform": "1.11.4"},
            change("module.a.x.one", "create", "module.a"),
            change("module.a.x.two", "replace", "module.a"),
            change("y.three", "delete"),
            {"type": "outputs", "outputs": {"cluster": {"action": "update"}, "bucket": {"action": "noop"}}},
        ]
    )
    assert summary.changes == 4
    assert summary.modules == {"": {"delete": 1}, "module.a": {"create": 1, "replace": 1}}
    assert summary.outputs == ["cluster"]
    assert summary.sentence == "1 to create, 1 to replace, 1 to delete, 1 output to change"
    assert summary.as_json()["resources"][0] == {"module": "", "address": "y.three", "action": "delete"}


def test_reading_drift_and_nothing_are_no_changes():
    summary = summarize(
        [
            change("data.x.one", "read"),
            change("x.two", "noop"),
            {"type": "resource_drift", "change": {"resource": {"addr": "x.three"}, "action": "update"}},
            {"type": "outputs", "outputs": {"cluster": {"action": "noop"}}},
        ]
    )
    assert summary.changes == 0
    assert summary.sentence == "No changes"
    assert summary.as_json() == {"changes": 0, "actions": {}, "modules": {}, "resources": [], "outputs": []}


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["", "module.a", "module.b"]), st.text("abc", min_size=1, max_size=4)),
        st.sampled_from(ACTIONS),
    )
)
def test_every_resource_is_counted_once_in_its_module_and_action(resources):
    events = [change(address, action, module) for (module, address), action in resources.items()]
    summary = summarize(events + events)
    assert summary.changes <= len(resources)
    assert sum(summary.actions.values()) == len(summary.resources) == summary.changes
    assert sum(count for actions in summary.modules.values() for count in actions.values()) == summary.changes

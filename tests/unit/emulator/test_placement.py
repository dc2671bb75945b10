from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from emulator.ecs.model import ContainerInstance, Resources
from emulator.ecs.placement import TASK_ENI, lacking, place

resources = st.builds(
    Resources, cpu=st.integers(0, 4), memory=st.integers(0, 4), interfaces=st.integers(0, 2), ports=st.just(frozenset())
)


class Taken:
    def __init__(self, needs):
        self.needs = needs


def host(number, size, *, connected=True, eni=True):
    return ContainerInstance(
        arn=f"arn:aws:ecs:r:1:container-instance/c/{number}",
        cluster="c",
        ec2_instance_id=f"i-{number}",
        capacity_provider=None,
        size=size,
        attributes={TASK_ENI: None} if eni else {},
        agent_connected=connected,
        registered_at=number,
    )


@given(st.lists(resources, max_size=4), st.lists(resources, max_size=30))
def test_no_host_is_ever_overbooked_and_no_room_is_refused(sizes, wanted):
    hosts = [host(number, size) for number, size in enumerate(sizes)]
    for number, needs in enumerate(wanted):
        chosen = place(needs, hosts)
        if isinstance(chosen, ContainerInstance):
            chosen.tasks[str(number)] = Taken(needs)
        else:
            assert [failure.arn for failure in chosen] == [item.arn for item in hosts]
            assert all(lacking(item.free, needs) for item in hosts)
        for item in hosts:
            assert min(item.free.cpu, item.free.memory, item.free.interfaces) >= 0


def test_the_emptiest_host_is_taken_then_the_oldest():
    size = Resources(cpu=4, memory=4)
    first, second = host(0, size), host(1, size)
    one = Resources(cpu=1, memory=1)
    assert place(one, [second, first]) is first
    first.tasks["t"] = Taken(one)
    assert place(one, [first, second]) is second


def test_what_is_not_about_room_is_said_first():
    size = Resources(cpu=4, memory=4)
    gone, plain = host(0, size, connected=False), host(1, size, eni=False)
    reasons = place(Resources(cpu=1, memory=1, interfaces=1), [gone, plain], attributes=[TASK_ENI])
    assert [failure.reason for failure in reasons] == ["AGENT", "ATTRIBUTE"]


def test_distinct_instances_take_one_each():
    item = host(0, Resources(cpu=4, memory=4))
    item.tasks["t"] = Taken(Resources(cpu=1, memory=1))
    (failure,) = place(Resources(cpu=1, memory=1), [item], ["distinctInstance"])
    assert "DistinctInstance" in failure.reason


def test_a_port_of_the_host_is_given_once():
    needs = Resources(cpu=1, memory=1, ports=frozenset({80}))
    item = host(0, Resources(cpu=4, memory=4))
    assert place(needs, [item]) is item
    item.tasks["t"] = Taken(needs)
    assert [failure.reason for failure in place(needs, [item])] == ["RESOURCE:PORTS"]

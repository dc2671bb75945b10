import io
import os
import signal
import types

import pytest

from winbatch.working import failures, stopping
from winbatch.working.programs import Stopped
from winbatch.working.slots import Slots


@pytest.mark.parametrize(("event", "name"), [(2, "CTRL_CLOSE"), (5, "CTRL_LOGOFF"), (6, "CTRL_SHUTDOWN")])
def test_windows_says_stop_and_is_held_until_the_clean_up_is_done(event, name):
    told = []
    handle = stopping.console_handler(told.append, told.append)
    assert handle(event)
    assert told == [name, 60.0]


@pytest.mark.parametrize("event", [0, 1, 3])
def test_windows_other_events_are_left_to_python(event):
    def never(_value):
        raise AssertionError

    assert not stopping.console_handler(never, never)(event)


@pytest.mark.posix("on Windows os.kill ends the process")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signals_leave_word(name):
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    told = []
    try:
        stopping.on_stop(told.append)
        os.kill(os.getpid(), getattr(signal, name))
        assert told == [name]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_slots_process_that_is_told_hands_it_on():
    told = []
    slots = Slots.__new__(Slots)  # without a process of its own
    slots._told = told.append
    process = types.SimpleNamespace(answers=io.BytesIO(b'{"told": "CTRL_SHUTDOWN"}\n'))
    with pytest.raises(Stopped):
        slots.receive(process)
    assert told == ["CTRL_SHUTDOWN"]


# MS-ERREF 2.3.1: STATUS_CONTROL_C_EXIT, STATUS_DLL_INIT_FAILED, DBG_TERMINATE_PROCESS; signed as some show them.
@pytest.mark.parametrize("code", [0xC000013A, 0xC0000142, 0x40010004, 0xC000013A - (1 << 32)])
def test_what_a_container_that_ends_does_to_programs_is_no_failure_yet(code):
    assert failures.says_host_ends(code)
    assert not failures.says_host_ends(code + 1)

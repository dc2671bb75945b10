import os
import signal

import pytest

from winbatch.working import stopping


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

"""A process that Windows cannot start just now is tried again, and no other."""

import pytest

from winbatch.working.starting import MOMENTARY, PAUSES, patiently


def failing(times, code):
    """A start that fails so often, and how often it was tried."""
    tries = []

    def start():
        tries.append(code)
        if len(tries) <= times:
            error = OSError("no")
            error.winerror = code
            raise error
        return "started"

    return start, tries


@pytest.mark.parametrize("code", sorted(MOMENTARY))
@pytest.mark.parametrize("times", range(len(PAUSES) + 1))
def test_what_is_of_the_moment_is_tried_again(code, times):
    start, tries = failing(times, code)
    assert patiently(start, pauses=(0.0,) * len(PAUSES)) == "started"
    assert len(tries) == times + 1


@pytest.mark.parametrize(("code", "tried"), [(1450, 3), (2, 1), (5, 1), (None, 1)])
def test_what_stays_or_is_another_fault_is_told(code, tried):
    start, tries = failing(9, code)
    with pytest.raises(OSError, match=r"^no$"):
        patiently(start, pauses=(0.0, 0.0))
    assert len(tries) == tried

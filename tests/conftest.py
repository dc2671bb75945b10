"""What every test begins with."""

import signal

import pytest

# A shell without job control starts what it puts into the background with SIGINT ignored, which children inherit: then
# no Ctrl-C that a test sends reaches anything.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the marks in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep together, in one of several processes, the slow tests that share something expensive."""
    for item in items:
        shared = "operator" in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group("environment" if shared else item.path.stem))

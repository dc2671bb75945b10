"""What every test begins with."""

import functools
import signal
import sys

import botocore.session
import hypothesis
import pytest

# Each of hundreds of sessions would read the services' descriptions anew, a fifth of a second each time.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)

# No test judges a duration: an example may take long on a machine that does much else. The examples are the same ones
# each time, so that a red build is about the change; `pytest --hypothesis-profile=explore` looks for new ones.
_BUSY = hypothesis.settings(deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.register_profile("same", _BUSY, derandomize=True)
hypothesis.settings.register_profile("explore", _BUSY)
hypothesis.settings.load_profile("same")

# A slow test may wait for whole jobs, on a machine that does much else.
SLOW_SECONDS = 3600

# A shell without job control starts what it puts into the background with SIGINT ignored, which children inherit: then
# no Ctrl-C that a test sends reaches anything.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Give slow tests their time-out, and leave out on Windows what cannot be there."""
    for item in items:
        if sys.platform == "win32" and (posix := item.get_closest_marker("posix")):
            item.add_marker(pytest.mark.skip(reason=f"of POSIX: {posix.args[0]}"))
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Let what a failed test stood on tell what it knows: each fixture that has an `evidence`."""
    report = yield
    if report.failed:
        for name, value in getattr(item, "funcargs", {}).items():
            if hasattr(value, "evidence"):
                try:
                    said = value.evidence()
                except Exception as error:  # noqa: BLE001 - the failure itself must be told, whatever is broken
                    said = f"nothing, for {error!r}"
                report.sections.append((f"what {name} knows", said))
    return report

"""Being told to stop: SIGTERM on Linux; on Windows a control event of the container's console."""

import signal
import sys
import time
from collections.abc import Callable

# Windows' console control events (SetConsoleCtrlHandler). CTRL_C and CTRL_BREAK arrive as Python signals.
CTRL_CLOSE_EVENT = 2
CTRL_LOGOFF_EVENT = 5
CTRL_SHUTDOWN_EVENT = 6

_NAMES = {
    CTRL_CLOSE_EVENT: "CTRL_CLOSE",
    CTRL_LOGOFF_EVENT: "CTRL_LOGOFF",
    CTRL_SHUTDOWN_EVENT: "CTRL_SHUTDOWN",
}

# Windows ends the process when the handler returns, or after some seconds: the handler outwaits any clean-up.
_OUTWAIT = 60.0

# The first that an application may have, where all begin at 0x280 (SetProcessShutdownParameters). Whether the end of a
# container obeys it is not known: nothing rests on it.
_TOLD_FIRST = 0x3FF


def on_stop(stop: Callable[[str], None]) -> None:
    """Call `stop` with what arrived, whenever the process is told to stop. To be called in the main thread.

    `stop` runs in a signal handler or a thread of Windows' own: it may do no more than leave word.
    """
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, lambda received, _frame: stop(signal.Signals(received).name))
    if sys.platform == "win32":
        _watch_console(stop)
        ctypes.windll.kernel32.SetProcessShutdownParameters(_TOLD_FIRST, 0)


def on_shutdown(leave: Callable[[str], None]) -> None:
    """Call `leave`, which ends the process, with what arrived when Windows ends the container; only there it does.

    Windows tells every process of a container, in an order that is nobody's promise. A process of a slot that is told
    hands it on to the worker and goes, so that Windows, which may wait for it, comes to the next one.
    """
    if sys.platform == "win32":
        _watch_console(leave)


def console_handler(stop: Callable[[str], None], sleep: Callable[[float], None] = time.sleep) -> Callable[[int], bool]:
    """What answers Windows' console control events: True for one that it has taken care of."""

    def handle(event: int) -> bool:
        if event not in _NAMES:
            return False
        stop(_NAMES[event])
        sleep(_OUTWAIT)
        return True

    return handle


if sys.platform == "win32":
    import ctypes

    _keep_alive: list[object] = []

    def _watch_console(stop: Callable[[str], None]) -> None:
        handler = ctypes.WINFUNCTYPE(ctypes.c_int, ctypes.c_uint)(console_handler(stop))
        if not ctypes.windll.kernel32.SetConsoleCtrlHandler(handler, True):
            raise ctypes.WinError()
        _keep_alive.append(handler)  # Windows holds only the address

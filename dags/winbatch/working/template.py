"""Linux: the process that imports the workload's code once, and becomes a slot's process by a fork for each.

It runs as `python -m winbatch.working.template` with a socket as standard input: the first message is the name of the
code, each other brings a slot's pipes: its standard input and output, and one that is told its process id and, when it
has ended, how. It has one thread, so that a fork copies nothing that is half done; code that starts threads while it is
imported gets a new interpreter a slot instead.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import threading
import warnings

from winbatch.working import items, logs, slot

_LONGEST = 1 << 16
_PIPES = 3


def main() -> None:
    """Fork slots until the worker goes away."""
    os.dup2(2, 1)  # what the code prints while it is imported
    control = socket.socket(fileno=os.dup(0))
    logs.set_up()
    name = control.recv(_LONGEST).decode()
    if not name:
        return
    # What is wrong with the code, each slot finds again, and tells.
    with contextlib.suppress(BaseException):
        items.load_run(name)
    gc.freeze()  # so that what is common stays common
    if _Forks(control, fresh=threading.active_count() > 1).serve():
        slot.main()


class _Forks:
    """The slots' processes, and where their ends are told."""

    def __init__(self, control: socket.socket, *, fresh: bool) -> None:
        self._control = control
        self._fresh = fresh
        self._told: dict[int, int] = {}
        self._wake, self._waking = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(self._waking, False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        signal.set_wakeup_fd(self._waking, warn_on_full_buffer=False)

    def serve(self) -> bool:
        """Fork as asked. Returns True in a process that is to be a slot's, False when the worker has gone."""
        while True:
            ready, _, _ = select.select([self._control.fileno(), self._wake], [], [])
            if self._wake in ready:
                os.read(self._wake, _LONGEST)
                self._tell_ends()
            if self._control.fileno() in ready:
                message, pipes, _, _ = socket.recv_fds(self._control, 1, _PIPES)
                if not message:
                    return False
                if self._fork(*pipes):
                    return True

    def _fork(self, requests: int, answers: int, told: int) -> bool:
        sys.stdout.flush()
        sys.stderr.flush()
        with warnings.catch_warnings():
            # Threads that Python does not know, a numerical library's, take care of forks themselves.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            self._become_slot(requests, answers, told)
            return True
        os.close(requests)
        os.close(answers)
        self._told[pid] = told
        self._tell(told, pid)
        return False

    def _become_slot(self, requests: int, answers: int, told: int) -> None:
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.dup2(requests, 0)
        os.dup2(answers, 1)
        for number in (requests, answers, told, self._wake, self._waking, *self._told.values()):
            os.close(number)
        self._control.close()
        if self._fresh:
            os.execv(sys.executable, [sys.executable, "-X", "utf8", "-m", slot.__name__])  # noqa: S606 - our own

    def _tell_ends(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                told = self._told.pop(ended[0], None)
                if told is not None:
                    self._tell(told, os.waitstatus_to_exitcode(ended[1]))
                    os.close(told)

    @staticmethod
    def _tell(told: int, number: int) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(told, b"%d\n" % number)


if __name__ == "__main__":
    main()

"""Ends the processes of a worker that went away without ending them: run as a script, with the worker's pipe as input.

A line `+<process group>` for each that begins, `-<process group>` for each that has ended; when the pipe ends, what is
left is killed. It imports nothing of ours, so that it starts at once.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Follow the worker until it ends."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        group = int(line[1:])
        groups = groups | {group} if line.startswith("+") else groups - {group}
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()

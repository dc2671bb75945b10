"""What is told of an item that failed, and whether it was for want of memory."""

import subprocess
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from winbatch.working.programs import ProgramError

_ERROR_LENGTH = 1000
_TRACEBACK_LINES = 20

# A shard may hold thousands of items that fail alike. All lines are in the log, under the items' numbers.
_WITH_LOG = 20

# The kernel's killer of what needs too much memory sends SIGKILL; a shell and a container say 128 + 9.
_KILLED = frozenset({-9, 128 + 9})

# NTSTATUS values that Windows gives a process for its exit code (MS-ERREF 2.3.1): STATUS_NO_MEMORY and
# STATUS_COMMITMENT_LIMIT. A stack overflow, 0xC00000FD, is the program's defect: more memory would not help.
_NO_MEMORY = frozenset({0xC0000017, 0xC000012D})


class ItemError(Exception):
    """An item's code raised, or returned what cannot be kept.

    Attributes:
        failure: `item`, `error`, `exit_code` (of a program that it ran; None for Python) and `log`, the last lines.
        memory: it failed for want of memory.
    """

    def __init__(self, item: int, error: BaseException, log: Sequence[str]) -> None:
        """Args are the item's number, what was raised, and the last lines that the item logged."""
        text = " ".join(f"{type(error).__name__}: {error}".split())[:_ERROR_LENGTH]
        super().__init__(text)
        code = exit_code(error)
        self.memory = isinstance(error, MemoryError) or (code is not None and says_no_memory(code))
        # Where in our code a program was started says nothing about why it failed.
        lines = log if isinstance(error, ProgramError) else [*log, *_trace(error)]
        self.failure: Mapping[str, Any] = {"item": item, "error": text, "exit_code": code, "log": list(lines)}


def exit_code(error: BaseException) -> int | None:
    """The exit code of the program that failed; None where it was no program."""
    match error:
        case ProgramError(exit_code=code):
            return code
        case subprocess.CalledProcessError(returncode=code):
            return code
        case SystemExit(code=int(code)):
            return code
    return None


def says_no_memory(code: int) -> bool:
    """Whether an exit code says that the program was ended, or ended itself, for want of memory."""
    return code in _KILLED or code & 0xFFFFFFFF in _NO_MEMORY


def describe(failed: Sequence[ItemError]) -> tuple[Literal["failed", "memory"], list[Mapping[str, Any]]]:
    """The kind of the mark that an attempt with these failures leaves, and what the mark holds of them."""
    kind: Literal["failed", "memory"] = "memory" if any(error.memory for error in failed) else "failed"
    return kind, [
        error.failure if number < _WITH_LOG else {**error.failure, "log": []} for number, error in enumerate(failed)
    ]


def _trace(error: BaseException) -> list[str]:
    return "".join(traceback.format_exception(error)).splitlines()[-_TRACEBACK_LINES:]

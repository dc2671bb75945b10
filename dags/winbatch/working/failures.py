"""What is told of an item that failed, and whether it was for want of memory."""

import collections
import dataclasses
import subprocess
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

from winbatch.causes import like
from winbatch.errors import WinbatchError
from winbatch.working.programs import ProgramError
from winbatch.working.trees import ending

_ERROR_LENGTH = 1000
_TRACEBACK_LINES = 20

# A shard may hold thousands of items that fail alike, of which some say what there is to say. All lines are in the log,
# under the items' numbers.
_WITH_LOG = 20
_OF_A_CAUSE = 5

# The kernel's killer of what needs too much memory sends SIGKILL; a shell and a container say 128 + 9.
_KILLED = frozenset({-9, 128 + 9})

# NTSTATUS values that Windows gives a process for its exit code (MS-ERREF 2.3.1): STATUS_NO_MEMORY and
# STATUS_COMMITMENT_LIMIT. A stack overflow, 0xC00000FD, is the program's defect: more memory would not help.
_NO_MEMORY = frozenset({0xC0000017, 0xC000012D})

# What programs leave whose host or container goes down: STATUS_CONTROL_C_EXIT, the default answer to a container's end,
# of which Windows may tell programs before the worker; STATUS_DLL_INIT_FAILED, for nothing starts any more; and
# DBG_TERMINATE_PROCESS (MS-ERREF 2.3.1).
_HOST_ENDS = frozenset({0xC000013A, 0xC0000142, 0x40010004})


@dataclasses.dataclass(eq=False)
class ItemError(Exception):
    """An item's code raised, returned what cannot be kept, or ended its process. Its fields are plain data.

    Attributes:
        error: a line that says it.
        exit_code: of the program that it ran, or of its process; None for what Python raised.
        memory: it failed for want of memory.
        trace: where, the innermost lines last.
    """

    error: str
    exit_code: int | None = None
    memory: bool = False
    trace: Sequence[str] = ()

    def __str__(self) -> str:
        return self.error

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """What an item's code raised."""
        code = exit_code(error)
        return cls(
            error=" ".join(_clean(f"{type(error).__name__}: {_text(error)}").split())[:_ERROR_LENGTH],
            exit_code=code,
            memory=isinstance(error, MemoryError) or (code is not None and says_no_memory(code)),
            # Where in our code a program was started, or an object asked for, says nothing about why that failed.
            trace=() if isinstance(error, ProgramError | WinbatchError) else _trace(error),
        )

    @classmethod
    def of_process(cls, code: int | None) -> Self:
        """The process that ran the item has ended, with this exit code; None when nobody knows it."""
        how = "went away" if code is None else ending(code)
        return cls(f"the item's process {how}", exit_code=code, memory=code is not None and says_no_memory(code))


class Failed(NamedTuple):
    """An item of a shard that failed, and the last lines that it logged."""

    item: int
    error: ItemError
    log: Sequence[str]

    def described(self, *, with_log: bool) -> Mapping[str, Any]:
        """Give it as a failure mark and a result tell it; `with_log` with its last lines and its trace."""
        log = [_clean(line) for line in (*self.log, *self.error.trace)] if with_log else []
        return {"item": self.item, "error": self.error.error, "exit_code": self.error.exit_code, "log": log}


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


def says_host_ends(code: int | None) -> bool:
    """Say whether programs whose host goes down have this exit code; a broken program may have it as well."""
    return code is not None and code & 0xFFFFFFFF in _HOST_ENDS


def describe(failed: Sequence[Failed]) -> tuple[Literal["failed", "memory"], list[Mapping[str, Any]]]:
    """The kind of the mark that an attempt with these failures leaves, and what the mark holds of them."""
    kind: Literal["failed", "memory"] = "memory" if any(each.error.memory for each in failed) else "failed"
    described: list[Mapping[str, Any]] = []
    kept: collections.Counter[str] = collections.Counter()
    for each in failed:
        cause = like(each.error.error)
        with_log = kept[cause] < _OF_A_CAUSE and kept.total() < _WITH_LOG
        kept[cause] += with_log
        described.append(each.described(with_log=with_log))
    return kind, described


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - it is the workload's class
        return "(it does not say what)"


def _clean(text: str) -> str:
    """The text as it can be written anywhere: a workload's may hold what is no Unicode."""
    return text.encode(errors="backslashreplace").decode()


def _trace(error: BaseException) -> list[str]:
    lines = "".join(traceback.format_exception(error)).splitlines()[-_TRACEBACK_LINES:]
    return [line[:_ERROR_LENGTH] for line in lines]

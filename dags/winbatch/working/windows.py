"""A program and all that it starts as a Windows job object."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
    _KILL_ON_CLOSE = 0x2000  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
    _ENDED = 1

    class _BasicLimits(ctypes.Structure):
        """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

        _fields_ = (
            ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
            ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

        _fields_ = (
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_ulonglong * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )

    _kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel.CreateJobObjectW.restype = wintypes.HANDLE
    _kernel.CreateJobObjectW.argtypes = (wintypes.LPVOID, wintypes.LPCWSTR)
    _kernel.SetInformationJobObject.argtypes = (wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD)
    _kernel.AssignProcessToJobObject.argtypes = (wintypes.HANDLE, wintypes.HANDLE)
    _kernel.TerminateJobObject.argtypes = (wintypes.HANDLE, wintypes.UINT)
    _kernel.CloseHandle.argtypes = (wintypes.HANDLE,)

    def _job() -> int:
        """A new job object that ends its processes when it is closed."""
        job: int | None = _kernel.CreateJobObjectW(None, None)
        if job is None:
            raise ctypes.WinError(ctypes.get_last_error())
        limits = _ExtendedLimits()
        limits.BasicLimitInformation.LimitFlags = _KILL_ON_CLOSE
        if not _kernel.SetInformationJobObject(job, _EXTENDED_LIMITS, ctypes.byref(limits), ctypes.sizeof(limits)):
            raise ctypes.WinError(ctypes.get_last_error())
        return job

    class Tree:
        """A program and what it starts. What it starts before it is in the job object is not; that is a moment."""

        def __init__(
            self,
            words: Sequence[str],
            folder: Path | None = None,
            environment: Mapping[str, str] | None = None,
            *,
            stdin: int = subprocess.DEVNULL,
            stderr: int | None = subprocess.STDOUT,
        ) -> None:
            """As subprocess has it; `stdin` and `stderr` are what `Popen` takes, standard output is a pipe."""
            self._job = _job()
            self.process = subprocess.Popen(
                words,
                cwd=folder,
                env=environment,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=stderr,
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP,
            )
            assert self.process.stdout is not None
            self.output = self.process.stdout
            # Popen has no public name for it.
            handle = int(self.process._handle)  # type: ignore[attr-defined]  # noqa: SLF001
            if not _kernel.AssignProcessToJobObject(self._job, handle):
                self.process.kill()
                raise ctypes.WinError(ctypes.get_last_error())

        def ask(self) -> None:
            """Ask it to end; a program without a console does not hear it."""
            with contextlib.suppress(OSError):
                self.process.send_signal(signal.CTRL_BREAK_EVENT)

        def kill(self) -> None:
            """End all that is left of it."""
            if self._job:
                _kernel.TerminateJobObject(self._job, _ENDED)

        def close(self) -> None:
            """Forget it; nothing of it is left."""
            self.output.close()
            job, self._job = self._job, 0
            _kernel.CloseHandle(job)

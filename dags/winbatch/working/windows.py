"""A program and all that it starts as a Windows job object."""

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from winbatch.working.starting import patiently

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _EXTENDED_LIMITS = 9  # JobObjectExtendedLimitInformation
    _KILL_ON_CLOSE = 0x2000  # JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
    _SUSPENDED = 0x4  # CREATE_SUSPENDED
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
    _native = ctypes.WinDLL("ntdll")
    _native.NtResumeProcess.argtypes = (wintypes.HANDLE,)

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

    def _begin(process: int, job: int) -> None:
        """Put a process that stands still into a job object, and let it run."""
        if not _kernel.AssignProcessToJobObject(job, process):
            raise ctypes.WinError(ctypes.get_last_error())
        # Popen has closed the handle of the thread, which ResumeThread wants.
        if status := _native.NtResumeProcess(process):
            raise OSError(f"NtResumeProcess fails with 0x{status & 0xFFFFFFFF:08X}")

    class Tree:
        """A program and what it starts."""

        def __init__(
            self,
            words: Sequence[str],
            folder: Path | None = None,
            environment: Mapping[str, str] | None = None,
            *,
            stdin: int = subprocess.DEVNULL,
            stderr: int | None = subprocess.STDOUT,
            program: str | None = None,
        ) -> None:
            """As subprocess has it; `stdin` and `stderr` are what `Popen` takes, standard output is a pipe.

            `program` is the file that is run where the first word does not name it. It stands still until it is in the
            job object, so that what it starts is in there, too.
            """
            self._job = _job()
            try:
                self.process = patiently(
                    lambda: subprocess.Popen(
                        words,
                        executable=program,
                        cwd=folder,
                        env=environment,
                        stdin=stdin,
                        stdout=subprocess.PIPE,
                        stderr=stderr,
                        creationflags=subprocess.CREATE_NEW_PROCESS_GROUP | _SUSPENDED,
                    )
                )
            except OSError:
                _kernel.CloseHandle(self._job)
                raise
            assert self.process.stdout is not None
            self.output = self.process.stdout
            # Popen has no public name for it.
            handle = int(self.process._handle)  # type: ignore[attr-defined]  # noqa: SLF001
            try:
                _begin(handle, self._job)
            except OSError:
                self.process.kill()
                self.process.wait()
                self.close()
                raise

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

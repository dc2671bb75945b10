"""What a Windows container's program finds in its environment, and the words of its command line. Pure."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

_SYSTEM = "C:\\Windows\\system32"


def variables(user: str, computer: str, *layers: Mapping[str, str]) -> dict[str, str]:
    """A container's environment: Windows' own, then what the image and the ECS task add. Names have no case.

    Args:
        user: who runs the program.
        computer: the container's name.
        layers: the later ones win.
    """
    found = {name.upper(): (name, value) for name, value in _base(user, computer).items()}
    for layer in layers:
        for name, value in layer.items():
            found[name.upper()] = (found.get(name.upper(), (name,))[0], value)
    return dict(sorted(found.values(), key=lambda variable: variable[0].upper()))


def command_line(words: Sequence[str], *, escaped: bool = False) -> str:
    """The words of a program as one line.

    Args:
        words: the program and its arguments.
        escaped: the first word is a line already, as an image's `ArgsEscaped` says of the shell form.
    """
    # As Docker does (moby, daemon/oci_windows.go): Go's syscall.EscapeArg has the C library's rules, as this has.
    if escaped:
        return " ".join([words[0], *([subprocess.list2cmdline(words[1:])] if words[1:] else [])])
    return subprocess.list2cmdline(words)


def _base(user: str, computer: str) -> dict[str, str]:
    # Source: docs.docker.com/engine/containers/run, "Environment variables", the list for Windows.
    home = f"C:\\Users\\{user}"
    return {
        "ALLUSERSPROFILE": "C:\\ProgramData",
        "APPDATA": f"{home}\\AppData\\Roaming",
        "CommonProgramFiles": "C:\\Program Files\\Common Files",
        "CommonProgramFiles(x86)": "C:\\Program Files (x86)\\Common Files",
        "CommonProgramW6432": "C:\\Program Files\\Common Files",
        "COMPUTERNAME": computer.upper(),
        "ComSpec": f"{_SYSTEM}\\cmd.exe",
        "LOCALAPPDATA": f"{home}\\AppData\\Local",
        "NUMBER_OF_PROCESSORS": str(os.cpu_count() or 1),
        "OS": "Windows_NT",
        "Path": f"{_SYSTEM};C:\\Windows;{_SYSTEM}\\Wbem;{_SYSTEM}\\WindowsPowerShell\\v1.0\\;"
        f"{home}\\AppData\\Local\\Microsoft\\WindowsApps",
        "PATHEXT": ".COM;.EXE;.BAT;.CMD;.VBS;.VBE;.JS;.JSE;.WSF;.WSH;.MSC",
        "PROCESSOR_ARCHITECTURE": "AMD64",
        "PROCESSOR_IDENTIFIER": "Intel64 Family 6 Model 85 Stepping 7, GenuineIntel",
        "PROCESSOR_LEVEL": "6",
        "PROCESSOR_REVISION": "5507",
        "ProgramData": "C:\\ProgramData",
        "ProgramFiles": "C:\\Program Files",
        "ProgramFiles(x86)": "C:\\Program Files (x86)",
        "ProgramW6432": "C:\\Program Files",
        "PUBLIC": "C:\\Users\\Public",
        "SystemDrive": "C:",
        "SystemRoot": "C:\\Windows",
        "TEMP": f"{home}\\AppData\\Local\\Temp",
        "TMP": f"{home}\\AppData\\Local\\Temp",
        "USERDOMAIN": "User Manager",
        "USERNAME": user,
        "USERPROFILE": home,
        "windir": "C:\\Windows",
    }

"""Errors that end the emulator with one line.

EmulatorError
└── PortInUseError
"""

from __future__ import annotations


class EmulatorError(Exception):
    """The emulator cannot go on; its text says what is wrong and what to do."""


class PortInUseError(EmulatorError):
    """Something listens on the port already."""

    def __init__(self, port: int) -> None:
        super().__init__(f"port {port} of 127.0.0.1 is in use: stop what listens there, or choose another with --port")

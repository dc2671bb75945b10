"""Errors of the emulated MWAA.

LaunchError
└── CancelledError
"""

from __future__ import annotations


class LaunchError(Exception):
    """An environment cannot be made or changed as asked; its text goes into `LastUpdate.Error`."""


class CancelledError(LaunchError):
    """The environment is being deleted, or the emulator stops."""

    def __init__(self) -> None:
        super().__init__("stopped before it was done")

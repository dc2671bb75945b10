"""Items that run a program: a stage's `command`, filled in for each item."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from winbatch.errors import JobError
from winbatch.parsing import parse_strictly
from winbatch.stage import Stage
from winbatch.working import files, outputs, words
from winbatch.working.limits import Limits, Watcher
from winbatch.working.programs import Programs
from winbatch.workload import Context

VALUES = "values.json"
"""The file in its outputs folder by which a program returns values."""

_LONGEST_VALUES = 1 << 20

_log = logging.getLogger("program")


class Command:
    """A stage's command as a workload's function."""

    def __init__(self, stage: Stage, programs: Programs) -> None:
        self._stage = stage
        self._programs = programs
        self._watcher = Watcher(Limits.of(stage))
        # The program runs in a folder of its own, but finds the files and the Python packages of the image; and no
        # others, as in a Windows image, whose Python reads neither variable and does not look into the current folder.
        self._app = Path.cwd()
        own = {"PYTHONPATH": str(self._app), "PYTHONSAFEPATH": "1"}
        self._environment = {"PYTHONUTF8": "1", **os.environ, **own}

    def __call__(self, params: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Run an item's program.

        Returns:
            `exit_code`, which is 0; `outputs`, name and size of each file that it left; and what `values.json` holds.

        Raises:
            ProgramError: it failed.
            JobError: its words cannot be filled in, its values.json holds no values, or a file that it left cannot be
                kept.
        """
        values = {**params, "item": context.item, "job": context.job}
        own = {"app": str(self._app), "inputs": str(context.inputs), "outputs": str(context.outputs)}
        # What it leaves among temporary files is removed with its other folders, and counts like them.
        temporary = context.work.with_name("tmp")
        temporary.mkdir()
        self._programs.run(
            words.fill(self._stage.command, values, own),
            folder=context.work,
            environment={**self._environment, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(temporary))},
            watcher=self._watcher,
            watched=temporary.parent,
            say=lambda line: _log.info("%s", line),
        )
        left = [{"name": output.name, "size": output.size} for output in outputs.find(files.long(context.outputs))]
        return {**_values(context), "exit_code": 0, "outputs": left}


def _values(context: Context) -> dict[str, Any]:
    path = files.long(context.outputs) / VALUES
    if not path.is_file():
        return {}
    if path.stat().st_size > _LONGEST_VALUES:
        raise JobError(
            f"{VALUES} of item {context.item} is larger than 1 MiB; leave such results in a file of their own"
        )
    try:
        written = files.patiently(path.read_bytes)
    except OSError as error:
        raise JobError(
            f"{VALUES} of item {context.item} cannot be read ({error.strerror}): have the program close it"
        ) from error
    try:
        # Of bytes it also takes UTF-16, and a byte order mark: Windows PowerShell writes both.
        values = parse_strictly(written)
    except ValueError as error:
        raise JobError(f"{VALUES} of item {context.item} is not JSON: {error}") from error
    if not isinstance(values, dict) or {"exit_code", "outputs"} & values.keys():
        raise JobError(
            f"{VALUES} of item {context.item}: a JSON object is expected, without `exit_code` and `outputs`,"
            " which every command has"
        )
    return values

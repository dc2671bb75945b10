"""The words of a command, filled in for an item, where its parameters may do no harm on either system."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from winbatch import filenames, template
from winbatch.errors import JobError

# What cmd.exe acts on, within quotes or by ending them; no quoting keeps it from all of these (see
# "Everyone quotes command line arguments the wrong way", Microsoft's blog archive).
_SHELL_READS = re.compile(r'["%&|<>^!\r\n]')
_SEPARATORS = re.compile(r"[\\/]")


def fill(command: Sequence[str], params: Mapping[str, Any], folders: Mapping[str, str]) -> list[str]:
    r"""Fill a command in.

    Args:
        command: its words, as templates.
        params: the item's parameters, with its number and its job's id.
        folders: the item's own, by placeholder.

    Raises:
        JobError: a placeholder has no value; a path below one of the folders would lead out of it, on Linux or on
            Windows, where also `\` and `:` do; or cmd.exe would take a parameter for a command.
    """
    words = [template.fill(word, {**params, **folders}) for word in command]
    for word in command:
        if params.keys() & set(template.used(word)):
            _check_paths(word, params, folders)
    if filenames.is_shell(words[0]):
        for name in params.keys() & {name for word in command for name in template.used(word)}:
            if found := _SHELL_READS.search(text := template.as_text(params[name])):
                raise JobError(f"{name} is {text!r}: cmd.exe would read {found[0]!r} as a command; {filenames.SAFE}")
    return words


def _check_paths(word: str, params: Mapping[str, Any], folders: Mapping[str, str]) -> None:
    """See that what follows a folder in a word stays below it. No word can hold a NUL, so it stands for the folder."""
    filled = template.fill(word, {**params, **dict.fromkeys(folders, "\0")})
    for rest in filled.split("\0")[1:]:
        _first, *names = _SEPARATORS.split(rest)
        if names[-1:] == [""]:
            names.pop()
        if said := next(filter(None, map(filenames.problem, names)), None):
            raise JobError(f"{word!r} would be {filled.replace('\0', '…')!r}: {said}; give the item another parameter")

"""Files and folders that a person names: what is wrong with one is a line that says which."""

import errno
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.core.errors import SettingsError

# GitHub takes less than a tenth of it; a device may have no end.
_MOST_CHARACTERS = 1_000_000
# Of the machine, whatever is named: `scripts.core.errors` says what to do.
_OF_THE_MACHINE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})


@contextmanager
def path(option: str, named: Path) -> Iterator[None]:
    """Say of an error inside that it is about a path that was named.

    Raises:
        SettingsError: it cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _OF_THE_MACHINE:
            raise
        raise SettingsError(f"{option} {named}: {error.strerror or error}; name another one") from error
    except UnicodeError as error:
        raise SettingsError(f"{option} {named}: it is no text in UTF-8; name another one") from error


def text(option: str, word: str) -> str:
    """The text of a file.

    Raises:
        SettingsError: it cannot be read, or is no text in UTF-8.
    """
    with path(option, Path(word)), Path(word).open(encoding="utf-8") as file:
        return file.read(_MOST_CHARACTERS)


def folder(variable: str, place: Path) -> None:
    """Make a folder of ours whose place a variable of the process environment may name.

    Raises:
        SettingsError: it cannot be made there.
    """
    with path(variable, place):
        place.mkdir(parents=True, exist_ok=True)


def new_file(option: str, word: str) -> Path:
    """A file to write later, after work that would else be for nothing; its folder is made.

    Raises:
        SettingsError: it cannot be written.
    """
    named = Path(word)
    with path(option, named):
        if named.exists() and not named.is_file():
            raise OSError(errno.EEXIST, "it is there and no file")
        named.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=named.parent).close()
    return named


def refuse_dangling(words: Sequence[str], option: str) -> None:
    """Refuse an option that may be given often where no value stands behind it: invoke takes that for nothing.

    Raises:
        SettingsError: it stands there so.
    """
    for word, value in itertools.pairwise([*words, "--"]):
        if word == option and value.startswith("--"):
            raise SettingsError(f"{option} stands without a value: write {option} key=value, or leave it out")

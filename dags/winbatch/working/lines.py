"""The lines of a program's output, whatever encoding it is in.

Programs say nowhere how they encode what they write to a pipe. UTF-16 shows by its byte order mark or by the NULs
between its letters, UTF-8 by being valid; what is neither is taken for what programs for Windows' console write: its
OEM code page.
"""

import codecs
import sys
from collections.abc import Generator, Iterator

LINE_LENGTH = 8000
"""Longer lines are cut."""

OEM = "oem" if sys.platform == "win32" else "cp437"
"""The console's code page; where there is no Windows, that of its English edition, which the images are."""

# Of a line whose end has not come: no encoding has more bytes a character.
_KEPT = 4 * LINE_LENGTH
_LOOKED_AT = 64


class Lines:
    """Makes lines of bytes as they come. Output that has begun to be UTF-16 stays it."""

    def __init__(self, oem: str = OEM) -> None:
        """Take what is neither UTF-8 nor UTF-16 for `oem`, a codec's name."""
        self._oem = oem
        self._rest = b""
        self._wide: codecs.IncrementalDecoder | None = None
        self._wide_rest = ""

    def feed(self, chunk: bytes) -> Iterator[str]:
        """Hand over the lines that end with this chunk, without their ends."""
        if self._wide is None:
            chunk = yield from self._narrow_lines(self._rest + chunk)
        if self._wide is not None:
            *lines, rest = (self._wide_rest + self._wide.decode(chunk)).split("\n")
            yield from map(_plain, lines)
            self._wide_rest = rest[:LINE_LENGTH]

    def end(self) -> Iterator[str]:
        """Hand over a last line that has no end."""
        if self._wide:
            last = self._wide_rest
        else:
            wide = _wide(self._rest)
            last = self._rest.decode(wide, "replace") if wide else self._text(self._rest)
        if last:
            yield _plain(last)

    def _narrow_lines(self, data: bytes) -> Generator[str, None, bytes]:
        """Hand over lines up to where UTF-16 begins. Returns what does, if anything."""
        self._rest = b""
        at = 0
        for line in data.split(b"\n"):
            ends = at + len(line) < len(data)
            # With the end of the line, of which UTF-16 has a second byte.
            begun = data[at : at + len(line) + 2]
            if (ends or len(begun) >= _LOOKED_AT) and (wide := _wide(begun)):
                self._wide = codecs.getincrementaldecoder(wide)("replace")
                return data[at:]
            if ends:
                yield _plain(self._text(line))
            else:
                self._rest = line[:_KEPT]
            at += len(line) + 1
        return b""

    def _text(self, line: bytes) -> str:
        try:
            # A character of which the end was cut off is left out.
            return codecs.getincrementaldecoder("utf-8")().decode(line[:_KEPT], len(line) < _KEPT)
        except UnicodeDecodeError:
            return line[:_KEPT].decode(self._oem, "replace")


def _plain(line: str) -> str:
    return line.removeprefix("\ufeff").removesuffix("\r")[:LINE_LENGTH]


def _wide(line: bytes) -> str:
    """Say which UTF-16 a line begins; empty if it is none."""
    if line.startswith(codecs.BOM_UTF16_LE):
        return "utf-16-le"
    if line.startswith(codecs.BOM_UTF16_BE):
        return "utf-16-be"
    first, second = line[:_LOOKED_AT:2].count(0), line[1:_LOOKED_AT:2].count(0)
    # Most of the letters are of the first 256 characters, and none is a NUL.
    enough = len(line[:_LOOKED_AT]) // 2
    if line[1:2] == b"\0" and not first and 2 * second > enough:
        return "utf-16-le"
    if line[:1] == b"\0" and not second and 2 * first > enough:
        return "utf-16-be"
    return ""

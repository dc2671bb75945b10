"""Text that people's files hold, whatever program has written it."""

import codecs
from typing import Self

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_ADVICE = "save it as UTF-8, or convert it: iconv -f {name} -t UTF-8"


class TextError(ValueError):
    """Bytes that are no text as it is expected, with the line, from 1, in which that shows."""

    def __init__(self, line: int, problem: str, encoding: str) -> None:
        super().__init__(f"{problem}; {_ADVICE.format(name=encoding)}")
        self.line = line

    @classmethod
    def at(cls, body: bytes, start: int) -> Self:
        """For the byte that is no UTF-8."""
        byte = body[start : start + 1]
        meant = byte.decode("cp1252", "replace")
        known = f", which is {meant!r} in Windows' code page 1252" if meant.isprintable() and meant != "\ufffd" else ""
        return cls(body.count(b"\n", 0, start) + 1, f"the byte 0x{byte.hex().upper()}{known}", "CP1252")


def decode(body: bytes, *, utf16: bool = False) -> str:
    """The text of a file in UTF-8, with or without a byte order mark.

    Args:
        body: the file.
        utf16: UTF-16 is taken as well, where its byte order mark says so.

    Raises:
        TextError: it is in another encoding.
    """
    if body.startswith(_UTF16):
        if not utf16:
            raise TextError(1, "it is UTF-16", "UTF-16")
        try:
            return body.decode("utf-16")
        except UnicodeDecodeError as error:
            raise TextError(1, f"it begins as UTF-16 and is none ({error.reason})", "UTF-16") from error
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError.at(body, error.start) from error
    if (nul := text.find("\0")) >= 0:
        line = text.count("\n", 0, nul) + 1
        raise TextError(line, "it holds NUL characters, as UTF-16 without its byte order mark does", "UTF-16LE")
    return text

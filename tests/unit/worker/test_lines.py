"""What a program writes to a pipe, in any encoding and in any pieces."""

import codecs

import pytest

from winbatch.working.lines import LINE_LENGTH, Lines

TEXT = "Grüße one\r\n\r\nzwei 漢字\nlast"
PLAIN = ["Grüße one", "", "zwei 漢字", "last"]
PIECES = [1, 2, 3, 5, 1 << 16]


def read(written, piece, oem="cp437"):
    lines = Lines(oem)
    found = [line for at in range(0, len(written), piece) for line in lines.feed(written[at : at + piece])]
    return found + list(lines.end())


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_text_that_shows_its_encoding(encoding, piece):
    assert read(TEXT.encode(encoding), piece) == PLAIN
    assert read(codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), piece) == PLAIN


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(("oem", "text"), [("cp437", "Größe ¢"), ("cp850", "søk"), ("cp932", "日本語")])
def test_other_text_is_the_consoles(oem, text, piece):
    # Line by line: a Python of the same item may write UTF-8.
    written = f"{text}\r\n".encode(oem) + "ünd\n".encode() + text.encode(oem)
    assert read(written, piece, oem) == [text, "ünd", text]


@pytest.mark.parametrize("piece", PIECES)
def test_utf_16_may_begin_later(piece):
    assert read(b"first\n" + TEXT.encode("utf-16"), piece) == ["first", *PLAIN]


@pytest.mark.parametrize("piece", PIECES)
@pytest.mark.parametrize(
    ("written", "lines"),
    [(b"a\0bcdef\nx", ["a\0bcdef", "x"]), (b"ab\n\0xyz\ny\n", ["ab", "\0xyz", "y"]), (b"", []), (b"\n\n", ["", ""])],
)
def test_a_nul_alone_makes_no_utf_16(written, lines, piece):
    assert read(written, piece) == lines


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp437"])
def test_long_lines_are_cut_and_the_next_one_is_whole(encoding):
    found = read(("ä" * 50_000 + "\nnext\n").encode(encoding), 4096)
    assert [len(line) for line in found] == [LINE_LENGTH, 4]
    assert set(found[0]) == {"ä"}

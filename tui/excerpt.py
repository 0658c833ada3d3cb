"""The beginning of a file as lines to look at: its text, or its bytes in hexadecimal."""

from __future__ import annotations

import codecs

from engine.units import human

MOST_BYTES = 64 * 1024
MOST_LINES = 20_000
_PER_ROW = 16
_CONTROLS = bytes(set(range(0x20)) - {*b"\t\n\r\f\x1b"}) + b"\x7f"
"""What texts do not hold; escape sequences do stand in some."""


class Excerpt:
    """The beginning of a file, as text or as bytes.

    Attributes:
        as_text: Which of the two; text where it is text.
    """

    def __init__(self, data: bytes, size: int) -> None:
        """Takes a file's first bytes.

        Args:
            data: They.
            size: How many the file has.
        """
        self._data, self.size = data, size
        self.as_text = is_text(data)

    def lines(self) -> list[str]:
        """Returns what there is to see."""
        return text_lines(self._data) if self.as_text else byte_lines(self._data)

    def note(self, lines: int) -> str:
        """Returns what of the file is not to be seen in so many lines, or ""."""
        if not self.size:
            return "The file is empty."
        if lines == MOST_LINES and self.as_text:
            return f"Only the first {MOST_LINES:,} lines are shown."
        if self.size > len(self._data):
            return f"Only the first {human(MOST_BYTES)} are shown; extract the file to have all."
        return ""


def is_text(data: bytes) -> bool:
    """Returns whether bytes, maybe cut off within a character, are UTF-8 text."""
    if data.translate(None, _CONTROLS) != data:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(data)
    except UnicodeDecodeError:
        return False
    return True


def text_lines(data: bytes) -> list[str]:
    """Returns the lines of a text; bytes that are not UTF-8 as `os.fsdecode` keeps them."""
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    if lines[-1] == "":
        del lines[-1]
    return [line.removesuffix("\r") for line in lines[:MOST_LINES]]


def byte_lines(data: bytes) -> list[str]:
    """Returns rows of offset, bytes and their ASCII."""
    return [_row(at, data[at : at + _PER_ROW]) for at in range(0, len(data), _PER_ROW)]


def _row(at: int, piece: bytes) -> str:
    halves = (piece[:8].hex(" "), piece[8:].hex(" "))
    letters = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
    return f"{at:06x}  {halves[0]:23}  {halves[1]:23}  {letters}"

"""Foreign text made safe to show: control characters become visible, width is bounded."""

from __future__ import annotations

import os
import re

from rich.cells import cell_len, chop_cells

_PIECE = re.compile(r"[^ ,/]*[ ,/]|[^ ,/]+")


def visible(text: str | bytes) -> str:
    r"""Returns text in which nothing can move the cursor, start a sequence or hide.

    What is not printable is shown as `\xNN`, `\uNNNN` or `\UNNNNNNNN`.
    """
    if isinstance(text, bytes):
        text = os.fsdecode(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) for character in text)


def visible_lines(text: str) -> str:
    """Returns foreign text made safe, its line breaks kept."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    point = ord(character)
    if 0xDC80 <= point <= 0xDCFF:  # a byte that is not UTF-8, as os.fsdecode keeps it
        return f"\\x{point - 0xDC00:02x}"
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def fit(text: str, width: int, ellipsis: str = "…") -> str:
    """Returns `text` cut or padded to exactly `width` cells."""
    return pad(cut(text, width, ellipsis), width)


def pieces(text: str, width: int) -> list[str]:
    """Returns a text in lines of at most `width` cells, broken behind blanks, commas or slashes.

    Put together they are the text: what is longer than a line is broken anywhere.
    """
    lines = [""]
    for piece in _PIECE.findall(text):
        if lines[-1] and cell_len((lines[-1] + piece).rstrip(" ")) > width:
            lines.append("")
        word = piece.rstrip(" ")
        *whole, rest = chop_cells(word, max(width, 2)) or [""]
        lines[-1:] = [*whole, rest + piece[len(word) :]] if whole else [lines[-1] + piece]
    return lines


def cut(text: str, width: int, ellipsis: str = "…") -> str:
    """Returns `text` cut to at most `width` cells, the cut marked."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    if width == 1:
        return ellipsis
    return (chop_cells(text, width - 1) or [""])[0] + ellipsis


def cut_left(text: str, width: int, ellipsis: str = "…") -> str:
    """Returns the end of `text`: for paths, whose end tells more than their beginning."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    if width == 1:
        return ellipsis
    return ellipsis + (chop_cells(text[::-1], width - 1) or [""])[0][::-1]


def pad(text: str, width: int, *, right: bool = False) -> str:
    """Returns `text` filled with spaces to `width` cells, at its left if `right`."""
    spaces = " " * max(width - cell_len(text), 0)
    return spaces + text if right else text + spaces


def counted(number: int, noun: str) -> str:
    """Returns a number with its noun, in the plural where there is not exactly one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def reason(error: Exception) -> str:
    """Returns what went wrong in words: of the system's errors, neither number nor path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)

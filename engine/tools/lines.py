"""Tool output as lines: a newline ends a log line, a return or backspace repaints progress."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

MAX_LINE = 4096
"""Characters of a line that are kept; a tool that prints megabytes without a newline is cut."""

# ECMA-48: CSI sequences, OSC strings (ended by BEL or ST), then any other two-byte escape.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_=>])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ENDS = re.compile(r"\r*\n|\r+(?!\n)|\x08+")


class Piece(NamedTuple):
    """One finished piece of output."""

    kind: Literal["log", "progress"]
    text: str


def clean(text: str) -> str:
    """Returns text without terminal escapes and control characters (tabs stay)."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


class LineSplitter:
    """Cuts one stream of a tool into pieces, whatever chunks it arrives in."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""
        self._cut = False

    def feed(self, chunk: bytes, *, final: bool = False) -> Iterator[Piece]:
        """Yields the pieces that `chunk` completes; `final` also yields what is left."""
        self._rest += self._decoder.decode(chunk, final)
        start = 0
        for end in _ENDS.finditer(self._rest):
            # The newline that would make this return a line end may be in the next chunk.
            if end.end() == len(self._rest) and end[0].endswith("\r") and not final:
                break
            yield from self._piece(self._rest[start : end.start()], end[0].endswith("\n"))
            start = end.end()
        self._rest = self._rest[start:]
        if len(self._rest) > MAX_LINE:
            yield from self._piece(self._rest, log=True)
            self._rest, self._cut = "", True
        if final and self._rest:
            yield from self._piece(self._rest, log=True)
            self._rest = ""

    def _piece(self, raw: str, log: bool) -> Iterator[Piece]:
        cut, self._cut = self._cut, False
        if cut:
            return
        text = clean(raw)
        if len(text) > MAX_LINE:
            text = text[:MAX_LINE] + "…"
        if log or text.strip():
            yield Piece("log" if log else "progress", text)

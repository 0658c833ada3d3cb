"""File systems whose first superblock is gone, found by a copy of it elsewhere in their window.

A reader's module `reader_copies` has `copied`, which looks where its format keeps copies, reads one
as if it were in the first one's place, and believes it only if all that it says fits where it lies.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.image.reading import Content, Window
from engine.problem import printable
from engine.spec.filesystems import FILESYSTEMS
from engine.units import human


@dataclass(frozen=True, slots=True)
class Instead(Window):
    """A window in which some bytes are others: a copy where the original was.

    Attributes:
        at: Where they begin.
        raw: What is read there.
    """

    at: int
    raw: bytes

    def read(self, offset: int, length: int) -> bytes:
        data = bytearray(Window.read(self, offset, length))
        first, last = max(self.at, offset), min(self.at + len(self.raw), offset + length)
        if first < last:
            data[first - offset : last - offset] = self.raw[first - self.at : last - self.at]
        return bytes(data)


def with_copy(window: Window, at: int, raw: bytes) -> Instead:
    """Returns a window with other bytes at a place."""
    return Instead(window.disk, window.start, window.size, at, raw)


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy of a superblock that fits where it lies, while the first one is not there.

    Attributes:
        content: What is there by the copy.
        what: What is damaged, as people call it.
        at: Where in the window the copy begins.
        repair: How to repair the first one from it, after "to repair it, ".
    """

    content: Content
    what: str
    at: int
    repair: str

    @property
    def sentence(self) -> str:
        """What is damaged, what the copy describes, and what to do."""
        title = FILESYSTEMS[self.content.type].title
        label = f' "{printable(self.content.label)}"' if self.content.label else ""
        return (
            f"its {self.what} is damaged or was erased, and the copy at byte {self.at} describes "
            f"{title}{label} of {human(self.content.size)}: to repair it, {self.repair}"
        )

"""What an image that is changed in its place was, until the build is over."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.image.whole import read_whole, write_whole
from engine.pipeline.falloc import extents, punch
from engine.pipeline.shifting import Shift
from engine.pipeline.takeover import Range

_CHUNK = 1 << 20


@dataclass(slots=True)
class Undo:
    """Makes an image again what it was.

    Attributes:
        path: A new file, for what is overwritten.
    """

    path: Path
    _size: int = 0
    _ranges: list[Range] = field(default_factory=list)
    _cleared: list[Range] = field(default_factory=list)
    _shifted: list[Shift] = field(default_factory=list)
    _doubt: bool = False

    def keep(self, image: int, ranges: Iterable[Range], cleared: Iterable[Range] = ()) -> None:
        """Keeps what will be overwritten.

        Args:
            image: Open for reading.
            ranges: Of it.
            cleared: Where it is to be zero before that is put back, since anything may be there.

        Raises:
            OSError: It cannot be kept.
        """
        self._size = os.fstat(image).st_size
        self._cleared += cleared
        with self.path.open("xb") as file:
            for start, end in ranges:
                last = min(end, self._size)
                if start < last:
                    self._ranges.append((start, last))
                    for at in range(start, last, _CHUNK):
                        file.write(read_whole(image, min(_CHUNK, last - at), at))

    def shift(self, image: int, shift: Shift) -> None:
        """Shifts what is in the image.

        Raises:
            OSError: It was not shifted, or nobody knows how far.
        """
        size, before = os.fstat(image).st_size, extents(image)
        self._doubt = True
        try:
            shift.apply(image)
        except OSError:
            os.ftruncate(image, size)  # ext4 makes room at the end before it moves anything
            self._doubt = extents(image) != before
            raise
        self._doubt = False
        self._shifted.append(shift)

    def undo(self, image: int) -> None:
        """Puts everything back and has it reach the device.

        Raises:
            OSError: It does not go back.
        """
        if self._doubt:
            raise OSError(errno.EIO, "it was shifted in part")
        os.ftruncate(image, self._size + sum(one.length for one in self._shifted))
        for shift in reversed(self._shifted):
            shift.undo(image)
        os.ftruncate(image, self._size)
        for start, end in self._cleared:
            punch(image, start, end)
        with self.path.open("rb") as file:
            for start, end in self._ranges:
                for at in range(start, end, _CHUNK):
                    write_whole(image, file.read(min(_CHUNK, end - at)), at)
        os.fsync(image)

"""Digests of an image's blocks, kept beside the record: what a block that moved is known by.

They are the leaves of the tree of which the record has the digests of whole groups (`Record.tree`,
`engine.provenance.fsverity`). A file of them has those of each such group, in order. What it says
is held against the record's digest of the group before it is used: a file that is damaged, or is of
another build, says nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from engine.provenance.fsverity import BLOCK, DIGEST, GROUP
from engine.reuse.part import Part

SIZE = GROUP // BLOCK * DIGEST
"""Bytes of a group's leaves."""
_UNKNOWN = bytes(SIZE)


class LeafWriter:
    """Writes leaves while an image is hashed.

    A file that cannot be written is done without: the next update reads more.

    Args:
        part: The new file.
    """

    def __init__(self, part: Part) -> None:
        self._part = part
        self._file: BinaryIO | None = None
        with contextlib.suppress(OSError):
            self._file = part.open()

    def keep(self, leaves: bytes) -> None:
        """Takes those of the next group."""
        if self._file is not None:
            try:
                self._file.write(leaves)
            except OSError:
                self.discard()

    def finish(self) -> Part | None:
        """Returns the file, once it is complete."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                self.discard()
        return self._part if self._file is not None else None

    def discard(self) -> None:
        """Removes the file, unless it has its name."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None
        self._part.discard()


class Leaves:
    """Leaves of the last image, read as they are asked for.

    Args:
        file: Open for reading, or None where there is none.
        groups: As the record has them.
        size: Bytes of the image.
    """

    def __init__(self, file: int | None, groups: Mapping[int, bytes], size: int) -> None:
        whole = file is not None and os.fstat(file).st_size == len(groups) * SIZE
        self._file = file if whole else None
        self._groups = groups
        self._size = size
        self._places = dict(zip(sorted(groups), range(len(groups)), strict=True)) if whole else {}
        self._last: tuple[int, bytes | None] = -1, None

    def of(self, group: int) -> bytes | None:
        """Returns the digests of a group's blocks, b"" for one of zeros, or None: not known."""
        if self._file is None or (group + 1) * GROUP > self._size:
            return None
        if group not in self._groups:
            return b""
        if self._last[0] != group:
            found = self.raw(group)
            right = hashlib.sha256(found).digest() == self._groups[group]
            self._last = group, found if right else None
        return self._last[1]

    def raw(self, group: int) -> bytes:
        """Returns what the file says of one of `groups`, whether or not it is right."""
        if self._file is None:
            return _UNKNOWN
        return os.pread(self._file, SIZE, self._places[group] * SIZE).ljust(SIZE, b"\0")


@contextlib.contextmanager
def opened(path: Path | None, groups: Mapping[int, bytes], size: int) -> Iterator[Leaves]:
    """Opens a file of leaves; where there is none, none are known."""
    with contextlib.ExitStack() as stack:
        file = None
        if path is not None:
            with contextlib.suppress(OSError):
                file = stack.enter_context(path.open("rb", buffering=0))
        yield Leaves(file.fileno() if file is not None else None, groups, size)

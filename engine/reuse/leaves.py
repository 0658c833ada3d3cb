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
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from engine.provenance.fsverity import BLOCK, DIGEST, GROUP

SIZE = GROUP // BLOCK * DIGEST
"""Bytes of a group's leaves."""
_UNKNOWN = bytes(SIZE)


class LeafWriter:
    """Writes leaves while an image is hashed.

    A file that cannot be written is done without: the next update reads more.

    Args:
        path: The new file; it goes with the folder that it is in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        with contextlib.suppress(OSError):
            self._file = path.open("xb")

    def keep(self, leaves: bytes) -> None:
        """Takes those of the next group."""
        if self._file is not None:
            try:
                self._file.write(leaves)
            except OSError:
                self._give_up()

    def finish(self) -> Path | None:
        """Returns the file, once it is complete."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                self._give_up()
        return self._path if self._file is not None else None

    def _give_up(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
        self._file = None
        self._path.unlink(missing_ok=True)


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


def install(source: Path | None, target: Path | None) -> None:
    """Puts a file of leaves in the place of the one before, which goes where there is none.

    Raises:
        OSError: It cannot be written.
    """
    if target is None:
        return
    if source is None:
        target.unlink(missing_ok=True)
        return
    part = target.with_suffix(f".{os.getpid()}.leaves-part")
    try:
        with source.open("rb") as reader, open(part, "xb", opener=_private) as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
        part.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)

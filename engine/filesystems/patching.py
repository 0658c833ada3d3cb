"""How a format changes some entries of what it filled, where all others stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.filesystems.populate import DataObserver
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest

Piece = tuple[int, int, int]
"""Of a file: a byte of it, the byte of the volume where that is, how many."""

Pairs = Collection[tuple[Entry, Entry]]
"""Files and directories as they were, and as they are."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is not as it was.

    Attributes:
        changed: Of the same paths.
        gone: Entries that are not there any more.
        come: Entries that were not there; of a path that one had that is gone, perhaps.
    """

    changed: Pairs
    gone: Collection[Entry] = ()
    come: Collection[Entry] = ()


@dataclass(frozen=True, slots=True)
class Patched:
    """One entry in its place.

    Attributes:
        entry: As it is now.
        inode: Byte of the volume where its inode begins.
        raw: The inode as it is to be.
        pieces: Where its data goes, in whole blocks; none for a directory.
        first: The block that its data begins in, if it has any.
    """

    entry: Entry
    inode: int
    raw: bytes
    pieces: tuple[Piece, ...]
    first: int = 0


class NoPatch(Exception):
    """The file system is to be made anew; the message says why."""


class Patcher(Protocol):
    """A module that does it for the formats of its folder."""

    def blocks(self, entry: Entry) -> int:
        """Returns how many blocks the data of an entry takes; an entry that keeps it is patched."""
        ...

    def figures(self, manifest: Manifest) -> dict[str, tuple[int, ...]]:
        """Returns what was measured of a manifest, by format, for `restore`.

        Nothing is returned of a format that cannot hold it.
        """
        ...

    def restore(
        self, manifest: Manifest, figures: Mapping[str, Sequence[int]], changes: Changes
    ) -> None:
        """Has a manifest count as measured.

        Args:
            manifest: The entries as they are.
            figures: Of what they were.
            changes: What is not as it was.
        """
        ...

    def patches(
        self, image: Path, offset: int, size: int, changes: Pairs, *, epoch: int
    ) -> list[Patched]:
        """Returns what has to change in a file system for entries to become others.

        Args:
            image: That holds it.
            offset: Byte where it begins.
            size: Bytes of it.
            changes: The old ones were filled in, and the new ones have as many blocks.
            epoch: That it was filled with, and is to have.

        Raises:
            NoPatch: It is not what the writer makes of the old entries.
        """
        ...

    def ranges(self, patched: Iterable[Patched]) -> list[tuple[int, int]]:
        """Returns the ranges of a volume that are written: first byte, and the one behind it."""
        ...

    def write(
        self, patched: Sequence[Patched], old: int, there: int, made: int, offset: int,
        observer: DataObserver, cancelled: Callable[[], bool],
    ) -> None:  # fmt: skip
        """Writes the ranges that differ (`ranges`) into an image that has zeros there.

        Args:
            patched: What changes.
            old: The image of which all else stays, open for reading.
            there: Byte of it where the volume begins.
            made: The image, open for writing.
            offset: Byte of it where the volume begins.
            observer: Takes the data of files.
            cancelled: Asked several times a second.

        Raises:
            engine.manifest.entry.SourceChanged: A source is not what was scanned.
            engine.filesystems.populate.Cancelled: `cancelled` said so.
            OSError: Reading or writing failed.
        """
        ...

"""The manifest: every entry of one file system of the image, in order, with its sums."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Protocol

from engine.manifest.entry import Entry, Source, order
from engine.problem import Problem


@dataclass(frozen=True, slots=True)
class Counts:
    """What a manifest holds; hard links beyond the first name are only counted as such.

    Attributes:
        data_bytes: Apparent bytes of regular files, each inode once.
    """

    files: int = 0
    directories: int = 0
    symlinks: int = 0
    others: int = 0
    hard_links: int = 0
    data_bytes: int = 0


class Listing(Protocol):
    """What can be asked for entries by path: a manifest, or the tree that several make."""

    def get(self, path: bytes) -> Entry | None:
        """Returns the entry at a path (no leading slash), or None."""
        ...

    def under(self, path: bytes) -> Iterator[Entry]:
        """Yields everything below a directory; the entries of one directory come in order."""
        ...

    def within(self, path: bytes) -> Iterator[Entry]:
        """Yields what is directly in a directory, in order, without a look at what is below."""
        ...


class Manifest:
    """Entries in manifest order (`engine.manifest.entry.order`), the root directory first.

    Immutable once made. `problems` are those the walk found; a manifest with errors is shown
    but never built. `origins` are the sources of data by the key path of the content entry that
    named them, "" for those of the builder. `base` is what it was before files of the builder's
    were put in (`engine.boot.overlay`), if any were. `owned` has the numbers of user and group that
    a content entry gives to what it brings, by its key path.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        problems: Sequence[Problem] = (),
        origins: Mapping[str, Sequence[Source]] = MappingProxyType({}),
        base: Manifest | None = None,
        owned: Mapping[str, tuple[int, int]] = MappingProxyType({}),
    ) -> None:
        self.entries = entries
        self.owned = owned
        self.base = base
        self.problems = tuple(problems)
        self.origins = origins

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def get(self, path: bytes) -> Entry | None:
        """Returns the entry at a path of the image (no leading slash), or None."""
        key = order(path)
        at = self._from(key)
        if at < len(self.entries) and self.entries[at].path == path:
            return self.entries[at]
        return None

    def under(self, path: bytes) -> Iterator[Entry]:
        """Yields everything below a directory, in order."""
        prefix = order(path) + b"\0" if path else b""
        at = self._from(prefix)
        for index in range(at, len(self.entries)):
            entry = self.entries[index]
            if not order(entry.path).startswith(prefix):
                return
            if entry.path:
                yield entry

    def within(self, path: bytes) -> Iterator[Entry]:
        """Yields what is directly in a directory, in order, without a look at what is below."""
        prefix = order(path) + b"\0" if path else b""
        at = self._from(prefix)
        if not path:
            at += 1  # the root itself
        while at < len(self.entries):
            entry = self.entries[at]
            key = order(entry.path)
            if not key.startswith(prefix):
                return
            yield entry
            # Behind a directory is what it holds; a name cannot go on with a byte below this one.
            at = self._from(key + b"\1") if entry.is_directory else at + 1

    def overlaid(self, inserted: Sequence[Entry]) -> Manifest | None:
        """Returns this manifest with more entries, if it is known from an earlier build; or None.

        Args:
            inserted: Of paths where nothing is, in order.
        """
        return None

    @cached_property
    def holes(self) -> str:
        """A digest of where the holes of files are, computed once."""
        return holes_of((one.path, one.extents) for one in self.entries if one.extents is not None)

    def _from(self, key: bytes) -> int:
        """Returns the position of the first entry whose place in the order is not before a key."""
        return bisect_left(self.entries, key, key=lambda entry: order(entry.path))

    @cached_property
    def counts(self) -> Counts:
        """Totals, computed once."""
        return counts_of(self.entries)


def counts_of(entries: Iterable[Entry]) -> Counts:
    """Returns the totals of some entries."""
    files = directories = symlinks = others = links = data = 0
    for entry in entries:
        if entry.link_to is not None:
            links += 1
        elif entry.is_directory:
            directories += 1
        elif entry.is_regular:
            files += 1
            data += entry.size
        elif entry.is_symlink:
            symlinks += 1
        else:
            others += 1
    return Counts(files, directories, symlinks, others, links, data)


def holes_of(files: Iterable[tuple[bytes, tuple[tuple[int, int], ...]]]) -> str:
    """Returns a digest of where the holes of some files are.

    Args:
        files: Their paths and where their data is, in order.
    """
    digest = hashlib.sha256()
    for path, extents in files:
        digest.update(b"%d:%s %r\n" % (len(path), path, extents))
    return digest.hexdigest()

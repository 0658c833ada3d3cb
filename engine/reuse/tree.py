"""One volume of the last build, whose entries change as the sources did."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import cached_property
from typing import TypeGuard

from engine.manifest.entry import Entry, Source, order
from engine.manifest.folder import FolderSource
from engine.packed import numbers
from engine.reuse.edited import Came
from engine.reuse.kept import NOWHERE, Kept
from engine.reuse.remembered import Rows, sources_of


class Scan(Exception):
    """It is not certain what a scan would make of a change."""


class Tree:
    """One volume.

    Attributes:
        rows: Its entries, some of them changed.
        gone: Numbers of entries that are not there any more, and whether others of their kind are.
        come: By path, those that were not there.
    """

    def __init__(self, kept: Kept, archives: Sequence[Source]) -> None:
        self.rows = Rows(kept, sources_of(kept, archives))
        self.gone: dict[int, bool] = {}
        self.come: dict[bytes, Came] = {}

    def change_names(self, names: Sequence[tuple[int, Entry]]) -> None:
        """Takes all names of an inode as they are, in order; raises Scan if there are others."""
        links, paths = self.rows.kept.fields.links, self.rows.kept.fields.names
        numbered = {index for index, _ in names}
        head, first = names[0]
        tied = {index for index, path in links.items() if path == paths[head]}
        if head in links or tied != numbered - {head}:
            raise Scan
        for index, new in names:
            new.link_to = first if index != head else None
            self.rows.change(index, new)

    @cached_property
    def _keys(self) -> list[bytes]:
        return [*map(order, self.rows.kept.fields.names)]

    def find(self, path: bytes) -> int | None:
        """Returns the number of the entry at a path, for many of them."""
        key = order(path)
        at = bisect_left(self._keys, key)
        return at if at < len(self._keys) and self._keys[at] == key else None

    def is_directory(self, index: int) -> bool:
        """Whether an entry is one."""
        return self.rows[index].is_directory

    def comes_from(self, index: int, folder: bytes, name: bytes) -> bool:
        """Whether an entry is of a source; a further name of an inode may stand for the first."""
        source = self.rows.source(self._origins[index])
        fields = self.rows.kept.fields
        if not isinstance(source, FolderSource) or source.folder != folder:
            return False
        return index in fields.links or source.below(fields.names[index]) == name

    def is_of(self, index: int, where: str) -> bool:
        """Whether an entry is what a content entry brought at its path.

        A link that the builder made has no source; two of them cannot be at one path.
        """
        number = self._origins[index]
        return number == NOWHERE or number in self._sources_of.get(where, ())

    @cached_property
    def _sources_of(self) -> dict[str, tuple[int, ...]]:
        return {one.where: one.sources for one in self.rows.kept.contents}

    @cached_property
    def _origins(self) -> Sequence[int]:
        return numbers("i", self.rows.kept.origins)

    def has_directory(self, path: bytes) -> bool:
        """Whether there is, or will be, a directory."""
        if path in self.come:
            return self.come[path].entry.is_directory
        index = self.rows.at(path)
        return index is not None and index not in self.gone and self.is_directory(index)

    def source_of(self, where: str, folder: bytes) -> int:
        """Returns the number of a source of a folder that a content entry has here.

        Raises:
            Scan: It has none.
        """
        for one in self.rows.kept.contents:
            if one.where == where:
                for number in one.sources:
                    source = self.rows.source(number)
                    if isinstance(source, FolderSource) and source.folder == folder:
                        return number
        raise Scan

    def edited(self) -> Rows:
        """Returns its entries as they are.

        Raises:
            Scan: Something that stays is below what went, or is a name of its inode.
        """
        if not self.gone and not self.come:
            return self.rows
        fields = self.rows.kept.fields
        for index, path in fields.links.items():
            if index not in self.gone and self.rows.at(path) in self.gone:
                raise Scan
        for index, swapped in self.gone.items():
            below = index + 1
            if swapped or below >= len(fields.names):
                continue
            if fields.names[below].startswith(fields.names[index] + b"/") and (
                below not in self.gone or self.gone[below]
            ):
                raise Scan
        come = sorted(self.come.values(), key=lambda one: order(one.entry.path))
        return self.rows.edited(self.gone, come)


def is_from(
    source: Source | None, path: bytes, folder: bytes, below: bytes
) -> TypeGuard[FolderSource]:
    """Whether a source has for a path of the image what is at a path of a folder."""
    return (
        isinstance(source, FolderSource) and source.folder == folder and source.below(path) == below
    )


def alike(old: Entry, new: Entry) -> bool:
    """Whether an entry has the names, attributes and holes that it had."""
    if not (old.is_regular or old.is_directory) or bool(old.size) != bool(new.size):
        return False
    return (old.xattrs, old.rdev, old.target, None, None) == (
        new.xattrs, new.rdev, new.target, old.extents, new.extents,
    )  # fmt: skip

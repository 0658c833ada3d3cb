"""The fields of many entries, one packed column each, so that all entries are made at once."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Self

import msgspec

from engine.manifest.columns import plain_entries
from engine.manifest.entry import Entry
from engine.packed import numbers
from engine.reuse.splice import Splice

Rare = tuple[bytes, int, tuple[tuple[bytes, bytes], ...]]
"""Target, device number and extended attributes."""


class Fields(msgspec.Struct, frozen=True, array_like=True, dict=True):
    """All but where entries come from.

    Attributes:
        paths: NUL between each two.
        modes, uids, gids: 4 bytes each.
        times, sizes: 8 bytes each.
        rare: By number, what few entries have.
        links: By number, the path of the first name of the entry's inode.
    """

    paths: bytes
    modes: bytes
    uids: bytes
    gids: bytes
    times: bytes
    sizes: bytes
    rare: dict[int, Rare]
    links: dict[int, bytes]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Self:
        """Returns the fields of some entries.

        Raises:
            OverflowError: A number does not fit its column.
        """
        return cls(
            b"\0".join([one.path for one in entries]),
            array("I", [one.mode for one in entries]).tobytes(),
            array("I", [one.uid for one in entries]).tobytes(),
            array("I", [one.gid for one in entries]).tobytes(),
            array("q", [one.mtime_ns for one in entries]).tobytes(),
            array("q", [one.size for one in entries]).tobytes(),
            {at: _rare(one) for at, one in enumerate(entries) if _is_rare(one)},
            {
                at: one.link_to.path
                for at, one in enumerate(entries)
                if one.link_to is not None
            },
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.modes) // 4

    @cached_property
    def names(self) -> list[bytes]:
        """The paths, one by one."""
        return self.paths.split(b"\0") if self.modes else []

    @cached_property
    def _columns(self) -> tuple[array[int], ...]:
        return (
            numbers("I", self.modes), numbers("I", self.uids), numbers("I", self.gids),
            numbers("q", self.times), numbers("q", self.sizes),
        )  # fmt: skip

    def entry(self, at: int) -> Entry:
        """Returns an entry by its number; of what it comes from and links to, nothing is said."""
        mode, uid, gid, time, size = (column[at] for column in self._columns)
        target, rdev, xattrs = self.rare.get(at, (b"", 0, ()))
        return Entry(
            self.names[at], mode, uid=uid, gid=gid, mtime_ns=time, size=size, target=target,
            rdev=rdev, xattrs=xattrs,
        )  # fmt: skip

    def entries(self) -> list[Entry]:
        """Returns all of them; of what they come from and link to, nothing is said."""
        found = plain_entries(self.names, *self._columns)
        for at, (target, rdev, xattrs) in self.rare.items():
            entry = found[at]
            entry.target, entry.rdev, entry.xattrs = target, rdev, xattrs
        return found

    def replaced(self, changes: Mapping[int, Entry]) -> Self:
        """Returns the fields with some entries in the place of others of their paths."""
        if not changes:
            return self
        columns = modes, uids, gids, times, sizes = tuple(one[:] for one in self._columns)
        rare = self.rare.copy()
        for at, one in changes.items():
            values = one.mode, one.uid, one.gid, one.mtime_ns, one.size
            for column, value in zip(columns, values, strict=True):
                column[at] = value
            rare.pop(at, None)
            if _is_rare(one):
                rare[at] = _rare(one)
        return msgspec.structs.replace(
            self,
            modes=modes.tobytes(),
            uids=uids.tobytes(),
            gids=gids.tobytes(),
            times=times.tobytes(),
            sizes=sizes.tobytes(),
            rare=rare,
        )

    def spliced(self, splice: Splice, new: Sequence[Entry]) -> Self:
        """Returns the fields without those of some entries, and with those of others."""
        others = type(self).of(new)
        come = dict(enumerate(splice.places))
        return type(self)(
            b"\0".join(splice.listed(self.names, others.names)),
            splice.packed(self.modes, others.modes, 4),
            splice.packed(self.uids, others.uids, 4),
            splice.packed(self.gids, others.gids, 4),
            splice.packed(self.times, others.times, 8),
            splice.packed(self.sizes, others.sizes, 8),
            splice.keyed(self.rare) | {come[at]: one for at, one in others.rare.items()},
            splice.keyed(self.links) | {come[at]: one for at, one in others.links.items()},
        )


def fits(entry: Entry) -> bool:
    """Whether the numbers of an entry fit their columns."""
    try:
        Fields.of((entry,))
    except OverflowError:
        return False
    return True


def _is_rare(entry: Entry) -> bool:
    return bool(entry.target or entry.rdev or entry.xattrs)


def _rare(entry: Entry) -> Rare:
    return entry.target, entry.rdev, entry.xattrs

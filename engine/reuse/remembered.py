"""A manifest that a record tells, with those entries that changed as they are now.

Entries are made when they are asked for, and what the record has of all of them is not computed
again. Everything else sees an ordinary manifest.
"""

from __future__ import annotations

import stat
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import islice
from typing import overload

import msgspec

from engine.filesystems.patching import Changes
from engine.filesystems.table import figures, patchers
from engine.manifest.datasums import has_data
from engine.manifest.entry import Entry, Source, order
from engine.manifest.folder import FolderSource
from engine.manifest.manifest import Counts, Manifest
from engine.manifest.memory import MADE
from engine.packed import numbers
from engine.provenance.inputs import Digest, Summed, data_in, line_of, sum_line
from engine.reuse.edited import Came, edited
from engine.reuse.kept import BUILDER, Content, Kept, Unpacked
from engine.reuse.lines import Lines

_TYPE, _REGULAR = 0o170000, stat.S_IFREG

_FEW = 32
"""Entries that are made one by one when all are asked for in turn."""


def sources_of(kept: Kept, archives: Sequence[Source]) -> list[Source]:
    """Returns the sources of a volume.

    Args:
        kept: The volume.
        archives: Those archives and container images that the record has.
    """
    return [
        archives[one.number]
        if isinstance(one, Unpacked)
        else FolderSource(one.folder, one.target, one.names)
        for one in kept.sources
    ]


class Rows:
    """The entries of a volume by their number, each made once: one by one, or all together.

    Attributes:
        kept: The volume.
        sources: What is numbered so in it.
        changed: By number: entries as they were, and as they are.
        come: By number: entries that were not there.
        gone: Entries that are not there any more.
    """

    def __init__(self, kept: Kept, sources: Sequence[Source]) -> None:
        """Prepares it.

        Args:
            kept: The volume.
            sources: What is numbered so in it (`sources_of`).
        """
        self.kept = kept
        self.sources = tuple(sources)
        self.changed: dict[int, tuple[Entry, Entry]] = {}
        self.come: dict[int, Entry] = {}
        self.gone: tuple[Entry, ...] = ()
        self._made: dict[int, Entry] = {}
        self._all: list[Entry] = []

    @cached_property
    def _stamps(self) -> array[int]:
        return numbers("q", self.kept.stamps)

    @cached_property
    def _origins(self) -> array[int]:
        return numbers("i", self.kept.origins)

    def __len__(self) -> int:
        return len(self.kept.fields)

    def __getitem__(self, index: int) -> Entry:
        if self._all:
            return self._all[index]
        entry = self._made.get(index)
        if entry is None:
            entry = self._made[index] = self._entry(index)
        return entry

    def __iter__(self) -> Iterator[Entry]:
        """Yields all; the first few one by one, since that may be all that is asked for."""
        return iter(self._all) if self._all else self._one_by_one()

    def _one_by_one(self) -> Iterator[Entry]:
        few = min(_FEW, len(self))
        for index in range(few):
            yield self[index]
        if few < len(self):
            yield from islice(self._all_of_them(), few, None)

    def _all_of_them(self) -> Sequence[Entry]:
        """Returns all entries, which takes a fraction of what one by one would."""
        if not self._all:
            self._all = self._entries()
            self._made.clear()
        return self._all

    def change(self, index: int, entry: Entry) -> None:
        """Puts an entry as it is now in the place of what it was."""
        self.changed[index] = self[index], entry
        if self._all:
            self._all[index] = entry
        else:
            self._made[index] = entry

    def edited(self, gone: Collection[int], come: Sequence[Came]) -> Rows:
        """Returns the volume without some entries and with others; see `engine.reuse.edited`."""
        kept, splice = edited(self.kept, {at: self[at] for at in gone}, come)
        rows = Rows(kept, self.sources)
        rows.gone = tuple(self[at] for at in gone)
        rows.changed = splice.keyed(self.changed)
        rows.come = {at: one.entry for at, one in zip(splice.places, come, strict=True)}
        rows._made = splice.keyed(self._made) | rows.come
        return rows

    @property
    def new(self) -> dict[int, Entry]:
        """By number: what is not as it was, as it is."""
        return {at: one for at, (_, one) in self.changed.items()} | self.come

    def source(self, number: int) -> Source | None:
        """Returns a source by its number."""
        if number == BUILDER:
            return MADE
        return self.sources[number] if number >= 0 else None

    def get(self, path: bytes) -> Entry | None:
        """Returns the entry at a path."""
        index = self.at(path)
        return None if index is None else self[index]

    def at(self, path: bytes) -> int | None:
        """Returns the number of the entry at a path."""
        names, key = self.kept.fields.names, order(path)
        index = bisect_left(names, key, key=order)
        return index if index < len(names) and names[index] == path else None

    def _entry(self, index: int) -> Entry:
        kept = self.kept
        entry = kept.fields.entry(index)
        entry.source = self.source(self._origins[index])
        entry.extents = kept.extents.get(index)
        if entry.source is MADE:
            entry.stamp = kept.made[index]
        elif entry.source is not None:
            entry.stamp = self._stamps[index]
        if link := kept.fields.links.get(index):
            entry.link_to = self[self._first(link)]
        return entry

    def _entries(self) -> list[Entry]:
        kept = self.kept
        found = kept.fields.entries()
        sources = {number: self.source(number) for number in set(self._origins)}
        for entry, number, stamp in zip(found, self._origins, self._stamps, strict=True):
            if number >= 0:
                entry.source, entry.stamp = sources[number], stamp
        for index, data in kept.made.items():
            found[index].source, found[index].stamp = MADE, data
        for index, extents in kept.extents.items():
            found[index].extents = extents
        for index, entry in self._made.items():
            found[index] = entry
        for index, link in kept.fields.links.items():
            found[index].link_to = found[self._first(link)]
        return found

    def _first(self, path: bytes) -> int:
        index = self.at(path)
        assert index is not None
        return index


class _Entries(Sequence[Entry]):
    """The entries of a volume, without some."""

    def __init__(self, rows: Rows, without: Sequence[int] = ()) -> None:
        self._rows = rows
        self._without = without

    def __len__(self) -> int:
        return len(self._rows) - len(self._without)

    @overload
    def __getitem__(self, index: int) -> Entry: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...
    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        if index < 0:
            index += len(self)
        if not 0 <= index < len(self):
            raise IndexError(index)
        for number in self._without:
            if number <= index:
                index += 1
        return self._rows[index]

    def __iter__(self) -> Iterator[Entry]:
        left_out = set(self._without)
        if not left_out:
            return iter(self._rows)
        return (entry for at, entry in enumerate(self._rows) if at not in left_out)


class Remembered(Manifest):
    """All entries of a volume as the last build had them, but for those that changed.

    Attributes:
        rows: The entries by their number in the record.
        settled: What the next record keeps, once the digests of changed files are known.
        new: These digests, by `id` of the entry.
    """

    def __init__(self, rows: Rows, *, base: Manifest | None = None) -> None:
        """Tells it.

        Args:
            rows: What is known, and what changed.
            base: What it was before the builder's files were put in, if any were.
        """
        kept = rows.kept
        # An archive may have several numbers: names of one inode have a source of their own.
        origins = {
            one.where: tuple(dict.fromkeys(filter(None, map(rows.source, one.sources))))
            for one in kept.contents
        }
        super().__init__(_Entries(rows), (), origins, base)
        self.rows = rows
        self.settled: Kept | None = None
        self.new: Mapping[int, bytes] = {}
        grown = sum(new.size - old.size for old, new in rows.changed.values() if has_data(new))
        counts = Counts(*kept.counts)
        self.counts = replace(counts, data_bytes=counts.data_bytes + grown)
        self.holes = kept.holes
        changes = Changes(rows.changed.values(), rows.gone, rows.come.values())
        for one in patchers():
            one.restore(self, kept.needs, changes)

    @property
    def changed(self) -> Mapping[int, tuple[Entry, Entry]]:
        """By number: entries as they were, and as they are."""
        return self.rows.changed

    @property
    def fresh(self) -> Collection[Entry]:
        """Entries that changed or came, as they are."""
        return self.rows.new.values()

    @property
    def same_names(self) -> bool:
        """Whether no entry came or went."""
        return not self.rows.come and not self.rows.gone

    def settle(self, sums: Mapping[int, bytes]) -> None:
        """Takes the digests of the files that changed or came, once.

        Args:
            sums: By `id` of the entry, of every such file with data.
        """
        self.new = sums
        kept, rows = self.rows.kept, self.rows
        lines: dict[int, bytes] = {}
        stamps = numbers("q", kept.stamps)
        for index, new in rows.new.items():
            lines[index] = line_of(new, sums.get(id(new), b""))
            stamps[index] = new.stamp if isinstance(new.stamp, int) else 0
        self.settled = msgspec.structs.replace(
            kept,
            fields=kept.fields.replaced({at: new for at, (_, new) in rows.changed.items()}),
            lines=kept.lines.replaced(lines),
            stamps=stamps.tobytes(),
            contents=tuple(self._content(one, sums) for one in kept.contents),
            counts=(*kept.counts[:-1], self.counts.data_bytes),
            needs=figures(self),
            size=self.counts.data_bytes,
        )
        rows.kept = self.settled  # nobody asks for what was before

    def release(self) -> None:
        """Lets go of what only the next record needs, once that has it."""
        assert self.settled is not None
        _ = self._summed
        self.settled = msgspec.structs.replace(self.settled, lines=Lines(b"", b""), contents=())
        self.rows.kept = self.settled

    def _content(self, content: Content, sums: Mapping[int, bytes]) -> Content:
        files = numbers("I", content.files)
        lines, grown = {}, 0
        for index, new in self.rows.new.items():
            at = bisect_left(files, index)
            if at < len(files) and files[at] == index:
                lines[at] = sum_line(new, sums[id(new)])
                if index in self.rows.changed:
                    grown += new.size - self.rows.changed[index][0].size
        return msgspec.structs.replace(
            content, lines=content.lines.replaced(lines), size=content.size + grown
        )

    @property
    def digest(self) -> Digest:
        """That of `engine.provenance.inputs.of_filesystem`, once it is settled."""
        return self._summed.whole

    @property
    def digests(self) -> Mapping[str, Digest]:
        """Those of `engine.provenance.inputs.of_sources` by content entry, once it is settled."""
        return self._summed.contents

    @cached_property
    def _summed(self) -> Summed:
        assert self.settled is not None
        return self.settled.summed

    @cached_property
    def sums(self) -> Mapping[int, bytes]:
        """SHA-256 of all files' data by `id` of the entry, once it is settled."""
        assert self.settled is not None
        return {
            id(entry): data_in(line, entry)
            for entry, line in zip(self.entries, self.settled.lines, strict=True)
            if entry.mode & _TYPE == _REGULAR and entry.link_to is None
        }


class Before(Manifest):
    """Such a manifest without what the builder put in, which it puts in anew in every build."""

    def __init__(self, rows: Rows) -> None:
        """Tells it; see `Remembered`."""
        after = Remembered(rows)
        super().__init__(_Entries(rows, rows.kept.inserted), (), after.origins)
        self._rows = rows

    def overlaid(self, inserted: Sequence[Entry]) -> Manifest | None:
        """Returns the whole, if what is put in now is what was put in before but for its time."""
        rows = self._rows
        then = [rows[index] for index in rows.kept.inserted]
        if len(then) != len(inserted):
            return None
        if any(not _alike(old, new) for old, new in zip(then, inserted, strict=True)):
            return None
        for index, old, new in zip(rows.kept.inserted, then, inserted, strict=True):
            if old.mtime_ns != new.mtime_ns:
                rows.change(index, new)
        return Remembered(rows, base=self)


def _alike(old: Entry, new: Entry) -> bool:
    """Whether an entry of the builder's is what it was but for its time."""
    return old.source is new.source and all(
        getattr(old, name) == getattr(new, name)
        for name in ("path", "mode", "uid", "gid", "size", "target", "xattrs", "stamp")
    )


def manifest(rows: Rows) -> Manifest:
    """Returns what the sources bring to a volume, before the builder puts files in."""
    return Before(rows) if rows.kept.inserted else Remembered(rows)

"""What a record keeps of a volume, once entries of it went and others came."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from operator import add, sub
from typing import NamedTuple

import msgspec

from engine.manifest.datasums import has_data
from engine.manifest.entry import Entry, order
from engine.manifest.manifest import counts_of, holes_of
from engine.packed import numbers
from engine.reuse.kept import Content, From, Kept, Unpacked
from engine.reuse.splice import Splice, within


class Came(NamedTuple):
    """An entry that was not there before.

    Attributes:
        entry: With its path in the volume.
        source: Number of its source (`Kept.sources`).
        below: Its path in that.
    """

    entry: Entry
    source: int
    below: bytes


def edited(kept: Kept, gone: Mapping[int, Entry], come: Sequence[Came]) -> tuple[Kept, Splice]:
    """Returns what is kept of a volume without some entries and with others.

    Args:
        kept: The volume.
        gone: By number. Nothing that stays links to one of them.
        come: In order. None is where something is that stays.

    Returns:
        What is kept, where the lines of those that came are empty and what was measured is as it
        was, and what became of the numbers.
    """
    names, new = kept.fields.names, [one.entry for one in come]
    at = [bisect_left(names, order(one.path), key=order) for one in new]
    splice = Splice(gone, at)
    extents = splice.keyed(kept.extents)
    extents |= {
        number: one.extents
        for number, one in zip(splice.places, new, strict=True)
        if one.extents is not None
    }
    fields = kept.fields.spliced(splice, new)
    counts = [*map(add, kept.counts, astuple(counts_of(new)))]
    counts = [*map(sub, counts, astuple(counts_of(gone.values())))]
    stamps = array("q", (one.stamp if isinstance(one.stamp, int) else 0 for one in new))
    origins = array("i", (one.source for one in come))
    found = Kept(
        id=kept.id,
        fields=fields,
        lines=kept.lines.spliced(splice, [b""] * len(new)),
        stamps=splice.packed(kept.stamps, stamps.tobytes(), 8),
        origins=splice.packed(kept.origins, origins.tobytes(), 4),
        sources=_sources(kept, gone, come),
        contents=tuple(_content(one, gone, come, at, splice) for one in kept.contents),
        extents=extents,
        inserted=tuple(splice.numbers(kept.inserted)),
        made=splice.keyed(kept.made),
        counts=tuple(counts),
        needs=kept.needs,
        size=counts[-1],
        owned=kept.owned,
        holes=holes_of((fields.names[number], extents[number]) for number in sorted(extents)),
    )
    return found, splice


def _sources(
    kept: Kept, gone: Mapping[int, Entry], come: Sequence[Came]
) -> tuple[From | Unpacked, ...]:
    """Returns the sources, which find what came."""
    found = list(kept.sources)
    there = numbers("i", kept.origins)
    for number, entry in gone.items():
        one = found[there[number]] if there[number] >= 0 else None
        if isinstance(one, From):
            one.names.pop(entry.path, None)
    for entry, number, below in come:
        one = found[number]
        assert isinstance(one, From)  # nothing comes of an archive that stayed as it is
        skip = len(one.target) + 1 if one.target else 0
        if entry.path[skip:] != below:
            one.names[entry.path] = below
    return tuple(found)


def _content(
    content: Content, gone: Mapping[int, Entry], come: Sequence[Came], at: Sequence[int],
    splice: Splice,
) -> Content:  # fmt: skip
    rows = numbers("I", content.files)
    mine = [
        number
        for number, one in enumerate(come)
        if one.source in content.sources and has_data(one.entry)
    ]
    inner = within(rows, gone, [at[number] for number in mine])
    files = sorted([*splice.numbers(rows), *(splice.places[number] for number in mine)])
    went = set(gone).intersection(rows)
    return msgspec.structs.replace(
        content,
        files=array("I", files).tobytes(),
        lines=content.lines.spliced(inner, [b""] * len(mine)),
        size=content.size
        + sum(come[number].entry.size for number in mine)
        - sum(gone[number].size for number in went),
    )

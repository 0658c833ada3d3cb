"""Room before the first partition: a raw volume without a source, which partitions begin behind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from engine.disk import placement
from engine.disk.volume import Scheme
from engine.importers.draft import Draft, size_text
from engine.spec.model import VolumeEntry
from engine.units import MIB, ceil_to, parse_size


def outside(volumes: Sequence[VolumeEntry]) -> Iterator[tuple[int, int]]:
    """Yields the ranges outside of all partitions, as far as the files are there to be measured."""
    for entry in volumes:
        if entry.offset is None:
            continue
        length = parse_size(entry.size) if entry.size else 1
        if entry.source:
            with suppress(OSError, ValueError):
                length = Path(entry.source).stat().st_size
        start = parse_size(entry.offset) or 0
        yield start, start + (length or 1)


def begins(scheme: Scheme, volumes: Sequence[VolumeEntry]) -> int:
    """Returns the byte where the first partition begins; one without a size counts as 1 MiB."""
    given = (parse_size(one.size) if one.size else None for one in volumes if one.offset is None)
    return placement.behind(scheme, [size or MIB for size in given], list(outside(volumes)))


def keep(scheme: Scheme, start: int, draft: Draft) -> bool:
    """Adds the room by which the first partition begins at a byte; whether there could be any."""
    taken = [end for first, end in outside(draft.volumes) if first < start]
    at = ceil_to(max([placement.FIRST_BYTE, *taken]), MIB)
    if at >= start:
        return begins(scheme, draft.volumes) == start
    # A file that is not there yet may be long: it gets the room, if a MiB is in the way enough.
    absent = any(one.source and not Path(one.source).is_file() for one in draft.volumes)
    for first in (start - MIB, at) if absent else (at,):
        entry = VolumeEntry(
            id=draft.id_for("room"), role="raw", offset=size_text(first),
            size=size_text(start - first),
        )  # fmt: skip
        if begins(scheme, [*draft.volumes, entry]) == start:
            draft.add(entry)
            draft.volumes.insert(0, draft.volumes.pop())
            return True
    return False

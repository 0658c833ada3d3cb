"""Makes what a record keeps of the entries of a volume (`engine.reuse.kept`)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple
from types import MappingProxyType

from engine.filesystems.table import figures
from engine.manifest.entry import Entry, Source
from engine.manifest.folder import FolderSource
from engine.manifest.manifest import Manifest
from engine.manifest.memory import MADE, original
from engine.provenance.inputs import line_of, sum_line
from engine.reuse.fields import Fields
from engine.reuse.kept import BUILDER, NOWHERE, Content, From, Kept, Unpacked
from engine.reuse.lines import Lines


class _Odd(Exception):
    """Something that is not kept: the next update reads all sources again."""


SumOf = Callable[[Entry], bytes | None]
"""Returns SHA-256 of what a file holds, and nothing of what has no data."""


def keep(
    volume: str, manifest: Manifest, sum_of: SumOf,
    archives: Mapping[int, int] = MappingProxyType({}),
) -> Kept | None:  # fmt: skip
    """Returns what a record keeps of a volume; None where it has more than files of sources.

    Args:
        volume: Its id.
        manifest: Its entries.
        sum_of: Asked of each, in their order first.
        archives: Numbers of archives and container images in the record, by `id` of the source.
    """
    try:
        return _keep(volume, manifest, sum_of, archives)
    except (_Odd, OverflowError):
        return None


def _keep(volume: str, manifest: Manifest, sum_of: SumOf, archives: Mapping[int, int]) -> Kept:
    if manifest.problems:
        raise _Odd
    inserted = _inserted(manifest)
    numbers, sources = _sources(manifest.entries, archives)
    origins = array("i")
    stamps = array("q")
    made: dict[int, bytes] = {}
    extents = {}
    for index, entry in enumerate(manifest.entries):
        number = numbers[id(entry.source)]
        origins.append(number)
        stamp = entry.stamp
        while isinstance(stamp, Entry):
            stamp = stamp.stamp
        stamps.append(stamp if isinstance(stamp, int) else 0)
        if entry.extents is not None:
            extents[index] = entry.extents
        if number == BUILDER:
            assert isinstance(stamp, bytes)
            made[index] = stamp
    counts = manifest.counts
    return Kept(
        id=volume,
        fields=Fields.of(manifest.entries),
        lines=Lines.of(line_of(entry, sum_of(entry) or b"") for entry in manifest.entries),
        stamps=stamps.tobytes(),
        origins=origins.tobytes(),
        sources=sources,
        contents=tuple(
            _content(manifest, where, some, numbers, sum_of)
            for where, some in manifest.origins.items()
            if where and some
        ),
        extents=extents,
        inserted=inserted,
        made=made,
        counts=astuple(counts),
        needs=figures(manifest),
        size=counts.data_bytes,
        holes=manifest.holes,
        owned=dict((manifest.base or manifest).owned),
    )


def _inserted(manifest: Manifest) -> tuple[int, ...]:
    base = manifest.base
    if base is None:
        return ()
    there = set(map(id, base.entries))
    found = tuple(i for i, entry in enumerate(manifest.entries) if id(entry) not in there)
    if len(base) + len(found) != len(manifest):
        raise _Odd  # some were replaced
    return found


def _sources(
    entries: Sequence[Entry], archives: Mapping[int, int]
) -> tuple[dict[int, int], tuple[From | Unpacked, ...]]:
    """Returns numbers of sources by their `id`, and what is numbered so."""
    distinct: dict[int, list[Entry]] = {}
    for entry in entries:
        distinct.setdefault(id(entry.source), []).append(entry)
    numbers: dict[int, int] = {}
    found: list[From | Unpacked] = []
    for number, some in distinct.items():
        source = some[0].source
        if source is None:
            numbers[number] = NOWHERE
        elif source is MADE:
            numbers[number] = BUILDER
        else:
            numbers[number] = len(found)
            found.append(_from(source, some, archives))
    return numbers, tuple(found)


def _from(source: Source, entries: Sequence[Entry], archives: Mapping[int, int]) -> From | Unpacked:
    """Returns what finds some entries of one source again.

    Those of a volume that is mounted somewhere come from further down in the folder.
    """
    folder = source if isinstance(source, FolderSource) else original(entries[0]).source
    if id(folder) in archives:
        if any(original(entry).source is not folder for entry in entries):
            raise _Odd
        return Unpacked(archives[id(folder)])
    if not isinstance(folder, FolderSource):
        raise _Odd
    if folder is source and len(entries) > 1:
        first = entries[0]
        below = folder.origin(first)
        target = first.path[: len(first.path) - len(below)].rstrip(b"/")
        if all(
            folder.origin(one) == (one.path[len(target) + 1 :] if target else one.path)
            for one in entries
        ):
            return From(folder.folder, target, {})
    names = {}
    for entry in entries:
        first = original(entry)
        if first.source is not folder:
            raise _Odd
        names[entry.path] = folder.origin(first)
    return From(folder.folder, b"", {path: name for path, name in names.items() if path != name})


def _content(
    manifest: Manifest, where: str, sources: Sequence[Source], numbers: Mapping[int, int],
    sum_of: SumOf,
) -> Content:  # fmt: skip
    wanted = {id(source) for source in sources}
    files, size = array("I"), 0

    def lines() -> Iterator[bytes]:
        nonlocal size
        for index, entry in enumerate(manifest.entries):
            if id(entry.source) in wanted and (digest := sum_of(entry)) is not None:
                files.append(index)
                size += entry.size
                yield sum_line(entry, digest)

    packed = Lines.of(lines())
    there = tuple(sorted(numbers[one] for one in wanted if one in numbers))
    return Content(where, there, files.tobytes(), packed, size)

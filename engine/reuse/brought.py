"""What archives and container images brought, so that one that stayed as it is is not read again.

All that comes of an archive follows from its bytes, from the content entry that names it, and from
this program. A record has what the host says of the files that it was read from; while that is what
it was, the entries are those that it brought then.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from engine.manifest.archive import ArchiveSource
from engine.manifest.content import key_of, part_again
from engine.manifest.entry import Entry, Source
from engine.manifest.memory import MADE
from engine.manifest.oci.later import LaterStore
from engine.manifest.oci.source import ImageSource
from engine.manifest.part import Kind, Part
from engine.packed import numbers
from engine.reuse import maker
from engine.reuse.fields import Fields
from engine.reuse.record import ArchiveRecord
from engine.reuse.sources import in_manifests, untouched, whole
from engine.spec.settings import ContentSettings, Settings

if TYPE_CHECKING:
    from engine.manifest.manifest import Manifest
    from engine.plan.model import Plan


class _Entries(msgspec.Struct, frozen=True, array_like=True):
    """Entries of one part.

    Attributes:
        fields: All but where they come from.
        stamps: Of each, 8 bytes: where its data is; 0 where it has none.
        extents: Of files with holes.
        bare: Numbers of those that are only there to hold others.
        made: Data of those that the builder made.
    """

    fields: Fields
    stamps: bytes
    extents: dict[int, tuple[tuple[int, int], ...]]
    bare: tuple[int, ...]
    made: dict[int, bytes]


class _Also(msgspec.Struct, frozen=True, array_like=True):
    """What else a content entry brings (`engine.manifest.part.Part.also`)."""

    origin: str
    kind: Kind
    target: bytes
    entries: _Entries


class _Brought(msgspec.Struct, frozen=True, array_like=True):
    """All of it."""

    entries: _Entries
    also: tuple[_Also, ...]
    about: str


_DECODER = msgspec.msgpack.Decoder(_Brought)
_ENCODER = msgspec.msgpack.Encoder()


def of_plan(plan: Plan, manifests: Iterable[Manifest]) -> list[tuple[Source, ArchiveRecord, bytes]]:
    """Returns what `keep` does of the archives and container images of a plan.

    Args:
        plan: What is built.
        manifests: Of each volume.
    """
    return keep(plan.settings, in_manifests(manifests))


def keep(
    settings: Settings, sources: Iterable[tuple[Source, str]]
) -> list[tuple[Source, ArchiveRecord, bytes]]:
    """Returns what a record keeps of archives and container images.

    Args:
        settings: The spec, resolved.
        sources: All that a plan has, and the key path of the content entry that names each.

    Returns:
        For each the source, what tells that it is unchanged, and what it brought. One of which
        there is something to say, or that had just changed, is left out.
    """
    contents = {f"contents[{one.index}]": one for one in settings.contents}
    found: list[tuple[Source, ArchiveRecord, bytes]] = []
    for source, where in sources:
        if not isinstance(source, (ArchiveSource, ImageSource)) or where not in contents:
            continue
        part = source.brought
        if part is None or any(one.findings for one in (part, *part.also)):
            continue
        if None in source.files.values():
            continue
        try:
            brought = _Brought(
                _entries(part, source),
                tuple(_Also(one.origin, one.kind, one.target, _entries(one)) for one in part.also),
                part.about,
            )
        except (OverflowError, _Odd):
            continue
        image = source if isinstance(source, ImageSource) else None
        record = ArchiveRecord(
            key=_key(settings, contents[where]), path=source.path,
            files=whole(source, where), image=image.image if image is not None else None,
            layers=image.layers if image is not None else (),
        )  # fmt: skip
        found.append((source, record, _ENCODER.encode(brought)))
    return found


def source_of(record: ArchiveRecord) -> ArchiveSource | ImageSource:
    """Returns the source that a record speaks of."""
    stamps = numbers("q", record.files.stamps)
    if record.image is None:
        return ArchiveSource(record.path, stamps[0])
    layers = dict(zip((one.name for one in record.image.layers), record.layers, strict=True))
    names = (b"/" + name for name in record.files.names.split(b"\0")[:-1])
    files = dict(zip(names, stamps, strict=True))
    return ImageSource(LaterStore(record.path, files, layers), record.image)


def known(
    settings: Settings, records: Sequence[ArchiveRecord], brought: Sequence[bytes | msgspec.Raw]
) -> Iterator[tuple[ContentSettings, Part]]:
    """Yields what content entries bring whose archives are what they were.

    Args:
        settings: The spec, resolved; it may be another one than that of the record.
        records: Of the last build.
        brought: What they brought, of each.
    """
    if len(brought) != len(records):
        return
    by_key = {one.key: at for at, one in enumerate(records)}
    for content in settings.contents:
        at = by_key.get(_key(settings, content)) if content.extract else None
        if at is not None and untouched([records[at].files]):
            yield content, _part(content, source_of(records[at]), brought[at])


def paths_of(brought: bytes | msgspec.Raw) -> list[bytes]:
    """Returns the paths in the image of all that an archive brought."""
    found = _DECODER.decode(brought)
    return [
        name
        for entries in (found.entries, *(one.entries for one in found.also))
        for name in entries.fields.names
    ]


def _key(settings: Settings, content: ContentSettings) -> str:
    described = repr((key_of(settings, content), maker.program()))
    return hashlib.sha256(described.encode("utf-8", "surrogateescape")).hexdigest()


class _Odd(Exception):
    """Something that is not kept."""


def _entries(part: Part, source: Source | None = None) -> _Entries:
    """Returns entries of a source, of the builder, and of none.

    Raises:
        _Odd: There are others, or a link to what is not among them.
    """
    entries = part.entries
    stamps = array("q")
    made: dict[int, bytes] = {}
    there = set(map(id, entries))
    for number, one in enumerate(entries):
        if one.source is MADE:
            assert isinstance(one.stamp, bytes)
            made[number] = one.stamp
        elif one.source not in (None, source):
            raise _Odd
        if one.link_to is not None and id(one.link_to) not in there:
            raise _Odd
        stamps.append(one.stamp if isinstance(one.stamp, int) else 0)
    return _Entries(
        Fields.of(entries),
        stamps.tobytes(),
        {at: one.extents for at, one in enumerate(entries) if one.extents is not None},
        tuple(at for at, one in enumerate(entries) if one.source is None),
        made,
    )


def _part(
    content: ContentSettings, source: ArchiveSource | ImageSource, brought: bytes | msgspec.Raw
) -> Part:
    found = _DECODER.decode(brought)
    also = tuple(
        Part(
            origin=one.origin, kind=one.kind, target=one.target,
            entries=_made_again(one.entries, None),
        )
        for one in found.also
    )  # fmt: skip
    return part_again(content, _made_again(found.entries, source), also, found.about)


def _made_again(kept: _Entries, source: Source | None) -> list[Entry]:
    entries = kept.fields.entries()
    for entry, stamp in zip(entries, numbers("q", kept.stamps), strict=True):
        entry.source = source
        if entry.is_regular:
            entry.stamp = stamp
    for at in kept.bare:
        entries[at].source = entries[at].stamp = None
    for at, data in kept.made.items():
        entries[at].source, entries[at].stamp = MADE, data
    for at, extents in kept.extents.items():
        entries[at].extents = extents
    by_path: Mapping[bytes, Entry] = {one.path: one for one in entries} if kept.fields.links else {}
    for at, path in kept.fields.links.items():
        entries[at].link_to = by_path[path]
    return entries

"""The partitions of a disk image as volumes of a spec, and the bytes between them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.disk import placement
from engine.disk.discoverable import role_of_type
from engine.disk.presets import PRESETS, Preset
from engine.disk.roles import LINUX_TYPE, MBR_LINUX_TYPE, ROLES, role_of
from engine.disk.volume import Scheme
from engine.image.container import BadImage
from engine.image.reading import Window
from engine.importers.draft import Draft
from engine.importers.image_mounts import with_mounts
from engine.inspect.image import Image, Part
from engine.spec.filesystems import ESP_LABEL, FILESYSTEMS
from engine.spec.model import VolumeEntry
from engine.units import MIB, format_exact

_PLAIN = {LINUX_TYPE, MBR_LINUX_TYPE}
_MBR_FAT = "0x0c"
_EXTENDED = {"0x05", "0x0f", "0x85"}
_ATTRIBUTES = {2: "legacy-boot", 59: "grow-file-system", 60: "read-only", 63: "no-auto"}
_LABELS = {"root": "root", "esp": ESP_LABEL}
"""Labels that file systems of these ids have by default."""
_MOST_GAP = 64 * MIB
_MOST_PIECES = 16
_PAGE = 4096
"""So many zeros end a piece of data between partitions."""


@dataclass(frozen=True, slots=True)
class Disk:
    """What of an image a spec can say.

    Attributes:
        table: Value of `layout.table`.
        volumes: In disk order.
        parts: The part of the image that each volume is, by id.
        pieces: Bytes outside of all partitions, by the byte at which they begin.
        boot: Bytes of the volume that `size.boot` gives a size, or None.
        fits: Whether the volumes fit on a disk of the image's size.
    """

    table: str
    volumes: tuple[VolumeEntry, ...]
    parts: Mapping[str, Part]
    pieces: Mapping[int, Window]
    boot: int | None
    fits: bool


def disk_of(image: Image, report: Mapping[str, Any], draft: Draft) -> Disk:
    """Returns the volumes of a partitioned image; what a spec cannot say becomes a note.

    Args:
        image: The opened image.
        report: What `engine.inspect.report.image_report` says of it.
        draft: Takes the notes.
    """
    scheme: Scheme = "gpt" if image.table.kind == "gpt" else "mbr"
    found = sorted(
        (part for part in image.parts if part.partition and part.partition.type not in _EXTENDED),
        key=lambda part: part.window.start,
    )
    roles = _roles(found, report)
    parts = {}
    for part in found:
        entry = _volume(part, roles[part.name], scheme, image.table.sector_size, draft)
        parts[entry.id] = part
    preset = _preset(scheme, draft, parts)
    named = with_mounts(draft.mounted(), parts)
    volumes, boot = _of_preset(preset, named, parts, image.table.sector_size)
    fits = _placed(scheme, image, parts, draft)
    if fits:
        volumes = _growing(scheme, image, volumes, parts, own=preset is None)
    pieces = dict(_pieces(image, found, draft))
    return Disk(preset.key if preset else scheme, volumes, parts, pieces, boot, fits)


def _roles(parts: list[Part], report: Mapping[str, Any]) -> dict[str, str]:
    """Returns the role of each part: by its type, or by what is in it where that says nothing."""
    found = {part.name: _by_type(part) for part in parts}
    systems = [system["where"] for system in report["system"]]
    kernels = [kernel["where"] for kernel in report["kernels"]]
    plain = [name for name, role in found.items() if role == "" and _readable(parts, name)]
    if "root" not in found.values() and plain:
        rooted = [name for name in plain if name in systems]
        found[(rooted or plain)[0]] = "root"
    rooted = [name for name, role in found.items() if role == "root"]
    for name in plain:
        if not found[name] and name in kernels and rooted and "boot" not in found.values():
            found[name] = "boot"
    return {name: role or "data" for name, role in found.items()}


def _readable(parts: list[Part], name: str) -> bool:
    return any(part.name == name and part.filesystem is not None for part in parts)


def _by_type(part: Part) -> str:
    """Returns the role that a type means, or "" where it says nothing."""
    assert part.partition is not None
    type_ = part.partition.type
    if type_ == _MBR_FAT and part.partition.active and part.filesystem is not None:
        return "boot"
    if type_ in _PLAIN:
        return "swap" if part.content is not None and part.content.type == "swap" else ""
    role = role_of(type_)
    if role not in ROLES:
        role = "data" if type_.startswith("0x") else role_of_type(type_)
    return role


def _volume(part: Part, role: str, scheme: Scheme, sector: int, draft: Draft) -> VolumeEntry:
    partition, content = part.partition, part.content
    assert partition is not None
    row = FILESYSTEMS.get(content.type) if content is not None else None
    format_ = "none" if row is None or row.layer else row.key
    name = partition.name or ""
    taken = {volume.id for volume in draft.volumes}
    wanted = role if role != "data" and role not in taken else name or role
    entry = VolumeEntry(
        id=draft.id_for(wanted),
        role=role,
        format=format_,
        size=format_exact(partition.sectors * sector) if partition.sectors else None,
        guid=partition.guid.lower() if partition.guid else None,
        name=name if scheme == "gpt" else None,
        type=_type(partition.type, role, scheme),
        flags=_flags(part, draft),
    )
    if content is not None and row is not None and row.label_bytes:
        default = _LABELS.get(entry.id, ESP_LABEL if role == "esp" else "")
        entry = msgspec.structs.replace(
            entry,
            label=content.label if content.label != default else None,
            uuid=content.uuid or None,
        )
    if row is not None and not row.files and ROLES[role].mount:
        entry = msgspec.structs.replace(entry, mount="")  # such as swap in a place of type home
    if row is not None and row.key == "verity" and role.endswith("-verity"):
        base = role.removesuffix("-verity")
        entry = msgspec.structs.replace(
            entry, format=ROLES[role].format, verity=base if base in taken else None
        )
    return draft.add(entry)


def _type(type_: str, role: str, scheme: Scheme) -> str | None:
    return None if type_.upper() == ROLES[role].type(scheme, "x86_64").upper() else type_


def _flags(part: Part, draft: Draft) -> tuple[str, ...]:
    partition = part.partition
    assert partition is not None
    if partition.guid is None:
        return ("legacy-boot",) if partition.active else ()
    bits = partition.attributes
    for bit in range(64):
        if bits >> bit & 1 and bit not in _ATTRIBUTES:
            draft.note(None, f"bit {bit} of the attributes of {part.name}",
                       "a spec has " + ", ".join(_ATTRIBUTES.values()))  # fmt: skip
    return tuple(flag for bit, flag in _ATTRIBUTES.items() if bits >> bit & 1)


def _preset(scheme: Scheme, draft: Draft, parts: Mapping[str, Part]) -> Preset | None:
    """Returns the preset with exactly these volumes, so that its name can stand for them."""
    for preset in PRESETS.values():
        wanted = [volume.role for volume in preset.volumes]
        if preset.own or preset.scheme != scheme or wanted != [one.id for one in draft.volumes]:
            continue
        if all(_as_preset(preset, entry, parts[entry.id]) for entry in draft.volumes):
            return preset
    return None


def _as_preset(preset: Preset, entry: VolumeEntry, part: Part) -> bool:
    """Whether a volume is what a preset makes of its role, but for sizes and identifiers."""
    volume = next(one for one in preset.volumes if one.role == entry.id)
    assert part.partition is not None
    active = "boot" in (volume.purpose.flags if volume.flags is None else volume.flags)
    if preset.scheme == "mbr" and active != part.partition.active:
        return False
    type_ = volume.type or volume.purpose.type(preset.scheme, "x86_64")
    return part.partition.type.upper() == type_.upper() or entry.type is not None


def _of_preset(
    preset: Preset | None,
    volumes: tuple[VolumeEntry, ...],
    parts: Mapping[str, Part],
    sector: int,
) -> tuple[tuple[VolumeEntry, ...], int | None]:
    """Returns volumes without what a preset says of them, and the size that `size.boot` gives."""
    if preset is None:
        return volumes, None
    boot, kept = None, []
    for entry, volume in zip(volumes, preset.volumes, strict=True):
        size = _bytes(parts[entry.id], sector)
        said = entry
        if volume.size == "boot":
            boot, said = size, msgspec.structs.replace(entry, size=None)
        elif volume.size == size:
            said = msgspec.structs.replace(entry, size=None)
        if preset.scheme == "mbr":
            said = msgspec.structs.replace(said, flags=())
        if volume.label:
            content = parts[entry.id].content
            label = content.label if content is not None else ""
            said = msgspec.structs.replace(said, label=label if label != volume.label else None)
        if volume.format == said.format:
            said = msgspec.structs.replace(said, format=None)
        if volume.type == said.type:
            said = msgspec.structs.replace(said, type=None)
        kept.append(said)
    return tuple(kept), boot


def _placed(scheme: Scheme, image: Image, parts: Mapping[str, Part], draft: Draft) -> bool:
    """Whether the volumes fit where Diskwright puts them; notes those that lie elsewhere then."""
    sector = image.table.sector_size
    sizes = [(name, _bytes(part, sector)) for name, part in parts.items()]
    for place, part in zip(placement.place(scheme, sector, sizes), parts.values(), strict=True):
        assert part.partition is not None
        if place.start != part.partition.start:
            draft.note(
                None, f"where {part.name} begins (sector {part.partition.start})",
                f"partitions follow each other at whole MiB; here it is {place.start}",
            )  # fmt: skip
        if place.number != part.partition.number:
            draft.note(
                None, f"the number of {part.name}",
                f"partitions are numbered as they lie on the disk; here it is {place.number}",
            )  # fmt: skip
    end = placement.span(scheme, [size for _, size in sizes])
    fits = end <= placement.end(scheme, image.disk.size, sector)
    if not fits:
        draft.note(
            None, f"the size of the disk ({format_exact(image.disk.size)})",
            f"at whole MiB its volumes end at {format_exact(end)}; it becomes so large",
        )  # fmt: skip
    return fits


def _growing(
    scheme: Scheme,
    image: Image,
    volumes: tuple[VolumeEntry, ...],
    parts: Mapping[str, Part],
    *,
    own: bool,
) -> tuple[VolumeEntry, ...]:
    """Lets the root take what is left where that is what it has, so that it follows the disk."""
    root = next((one for one in volumes if one.id == "root"), None)
    if root is None or root.size is None:
        return volumes
    sector = image.table.sector_size
    others = [0 if name == "root" else _bytes(part, sector) for name, part in parts.items()]
    end = placement.end(scheme, image.disk.size, sector)
    if end - placement.span(scheme, others) != _bytes(parts["root"], sector):
        return volumes
    free = msgspec.structs.replace(root, size=None, grow=1 if own else None)
    return tuple(free if one is root else one for one in volumes)


def _bytes(part: Part, sector: int) -> int:
    """Returns the size of a part as the table has it, whether the disk is as large or not."""
    return part.partition.sectors * sector if part.partition else part.window.size


def _pieces(image: Image, parts: list[Part], draft: Draft) -> Iterator[tuple[int, Window]]:
    """Yields the data between the table and partitions, by the byte where each piece begins."""
    sector = image.table.sector_size
    begin = image.table.first_usable * sector if image.table.kind == "gpt" else 512
    ends = [part.window.start + part.window.size for part in image.parts]
    starts = sorted(part.window.start for part in image.parts)
    found = 0
    for at in sorted({begin, *ends}):
        if any(p.window.start <= at < p.window.start + p.window.size for p in image.parts):
            continue
        end = next((start for start in starts if start >= at), image.disk.size)
        if image.table.kind == "gpt":
            end = min(end, (image.table.last_usable + 1) * sector)
        if end - at > _MOST_GAP:
            end = at + _MOST_GAP
        for start, length in _data(Window(image.disk, at, max(end - at, 0))):
            found += 1
            if found > _MOST_PIECES:
                draft.note(None, f"what is outside of partitions from byte {at + start} on",
                           f"there are more than {_MOST_PIECES} pieces of it")  # fmt: skip
                return
            yield at + start, Window(image.disk, at + start, length)


def _data(gap: Window) -> Iterator[tuple[int, int]]:
    """Yields (first byte, length) of what is not zero in a gap, in whole sectors of 512 bytes."""
    begun = last = -1
    for at in range(0, gap.size, MIB):
        try:
            chunk = gap.read(at, min(MIB, gap.size - at))
        except (BadImage, struct.error):
            return
        if not chunk.strip(b"\0"):
            continue
        for inside in range(0, len(chunk), 512):
            if not chunk[inside : inside + 512].strip(b"\0"):
                continue
            here = at + inside
            if begun >= 0 and here - last > _PAGE:
                yield begun, last - begun
                begun = -1
            begun = here if begun < 0 else begun
            last = min(here + 512, gap.size)
    if begun >= 0:
        yield begun, last - begun

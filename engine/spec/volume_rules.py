"""What can be wrong with the volumes of a spec: one by one, and together."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine.disk.roles import ROLES
from engine.problem import Fix, Problem
from engine.spec import subvolume_rules, verity_rules, volume_places
from engine.spec.choices import VOLUME_COMPRESSIONS, VOLUME_FORMATS
from engine.spec.filesystems import FILESYSTEMS, Filesystem, has_serial
from engine.spec.identity import is_uuid
from engine.spec.model import ImageSpec, VolumeEntry
from engine.spec.refusals import bad_choice, edit, error
from engine.spec.settings import Settings
from engine.spec.shape import show
from engine.units import GRAMMAR, format_exact, in_bytes, parse_size

FLAGS = ("read-only", "no-auto", "grow-file-system", "legacy-boot")
_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_MBR_TYPE = re.compile(r"0x[0-9a-fA-F]{1,2}")
_VOLUME_ID = re.compile(r"[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}")
_MAX_NAME_UNITS = 36
"""UTF-16 units of a GPT partition's name (UEFI specification 2.10, 5.3.3)."""
_SIZES = ("size", "free", "min", "offset")
_RULES = ("size", "free", "grow")


def _leave_out(path: str) -> Fix:
    return Fix("Remove the key", ((path, None),))


def check_values(spec: ImageSpec) -> Iterator[Problem]:
    """Yields what is wrong with a value whatever the others say."""
    seen: set[str] = set()
    for index, entry in enumerate(spec.volume):
        path = f"volume[{index}]"
        yield from _id(path, entry.id, seen)
        yield from _choice(f"{path}.role", entry.role, tuple(ROLES))
        yield from _choice(f"{path}.format", entry.format, VOLUME_FORMATS)
        yield from _choice(f"{path}.compression", entry.compression, VOLUME_COMPRESSIONS)
        for position, flag in enumerate(entry.flags):
            yield from _choice(f"{path}.flags[{position}]", flag, FLAGS)
        yield from _sizes(path, entry)
        yield from _texts(path, entry)
        yield from subvolume_rules.check_values(path, entry)


def _id(path: str, name: str, seen: set[str]) -> Iterator[Problem]:
    if not name:
        return  # stands for an entry whose own problems are reported already
    if not _ID.fullmatch(name):
        clean = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:32] or "data"
        yield error(
            "bad-volume-id", f"{path}.id",
            f"is {show(name)}, but an id is lower-case letters, digits and hyphens, 32 at most",
            "", edit(f"Call it {clean}", (f"{path}.id", clean)),
        )  # fmt: skip
    elif name in seen:
        yield error(
            "volume-id-taken", f"{path}.id", f"is {show(name)}, which an earlier volume has",
            "give each volume an id of its own",
        )  # fmt: skip
    seen.add(name)


def _choice(path: str, value: str | None, choices: tuple[str, ...]) -> Iterator[Problem]:
    if value is None or value in choices:
        return
    yield bad_choice(path, value, choices)


def _sizes(path: str, entry: VolumeEntry) -> Iterator[Problem]:
    for key in _SIZES:
        value = getattr(entry, key)
        if value is None:
            continue
        try:
            number = parse_size(value)
        except ValueError as problem:
            hint = "" if GRAMMAR in str(problem) else f"write {GRAMMAR}"
            yield error("bad-size", f"{path}.{key}", str(problem), hint)
        else:
            if number == 0 and key == "size":
                yield error("volume-size-zero", f"{path}.size", "is 0; a volume needs room")
    if entry.grow is not None and entry.grow <= 0:
        yield error(
            "bad-weight", f"{path}.grow", f"is {entry.grow}; a share is a whole number from 1 on",
            "", edit("Make it 1", (f"{path}.grow", 1)),
        )  # fmt: skip
    given = [key for key in _RULES if getattr(entry, key) is not None]
    for extra in given[1:]:
        yield error(
            "volume-size-conflict", f"{path}.{extra}",
            f"says how large the volume is, and {given[0]} says it too",
            "give one of size, free and grow", _leave_out(f"{path}.{extra}"),
        )  # fmt: skip
    if entry.min is not None and entry.size is not None:
        yield error(
            "volume-size-conflict", f"{path}.min", "is a least size, and size is a fixed one",
            "leave one of them out", _leave_out(f"{path}.min"),
        )  # fmt: skip


def _texts(path: str, entry: VolumeEntry) -> Iterator[Problem]:
    upwards = ".." in (entry.mount or "").split("/")
    if entry.mount and (upwards or not entry.mount.startswith("/")):
        yield error(
            "bad-mount", f"{path}.mount",
            f"is {show(entry.mount)}, which "
            + ('leads upwards by ".."' if upwards else "is not an absolute path"),
            'write it as in "/home", or "" for nowhere',
        )  # fmt: skip
    if entry.type and not is_uuid(entry.type) and not _MBR_TYPE.fullmatch(entry.type):
        yield error(
            "bad-type", f"{path}.type",
            f"is {show(entry.type)}, which is neither a GUID nor a type as in 0x83",
        )  # fmt: skip
    if entry.guid and not is_uuid(entry.guid):
        yield error("bad-uuid", f"{path}.guid", f"is {show(entry.guid)}, which is not a UUID")
    if entry.uuid and not is_uuid(entry.uuid) and not _VOLUME_ID.fullmatch(entry.uuid):
        yield error(
            "bad-uuid", f"{path}.uuid",
            f"is {show(entry.uuid)}, which is neither a UUID nor a FAT volume id as in 1A2B-3C4D",
        )  # fmt: skip
    if entry.name and len(entry.name.encode("utf-16-le", "replace")) // 2 > _MAX_NAME_UNITS:
        short = entry.name[:_MAX_NAME_UNITS]
        yield error(
            "name-too-long", f"{path}.name",
            f"is {show(entry.name)}; the name of a GPT partition has {_MAX_NAME_UNITS} characters "
            "at most",
            "", edit(f"Shorten it to {short}", (f"{path}.name", short)),
        )  # fmt: skip


def check_together(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Yields what is wrong with the volumes together, and with the table they are on."""
    if spec.volume and not settings.rules.own_volumes:
        yield error(
            "compat-volumes", "volume",
            f"has {len(spec.volume)} entries; {settings.rules.title} has its own partitions only",
            'take compat = "none" for volumes of your own',
            edit("Take Diskwright's own rules", ("compat", "none")),
        )  # fmt: skip
        return
    yield from _count(settings)
    yield from volume_places.check(spec, settings)
    yield from _contradictions(settings)
    yield from _growth(spec, settings)
    yield from verity_rules.check(spec, settings)
    yield from subvolume_rules.check_together(settings)
    yield from _grown(settings)


def _count(settings: Settings) -> Iterator[Problem]:
    count = len(settings.volumes)
    if not count:
        yield error(
            "no-volumes", "layout.table",
            f"is {show(settings.layout.table)}, a table for your own volumes, and there is no "
            "[[volume]]",
            "add a volume, or take a layout such as efi",
            edit("Take the layout efi", ("layout.table", "efi")),
        )  # fmt: skip
    elif settings.scheme == "none" and count > 1:
        yield error(
            "volumes-without-table", "layout.table",
            f'is "none", which has room for one file system, and there are {count} volumes',
            "take a layout with a partition table", edit("Take a GPT", ("layout.table", "efi")),
        )  # fmt: skip
    partitions = sum(volume.partitioned for volume in settings.volumes)
    limit = 128 if settings.scheme == "gpt" else 60
    if partitions > limit:
        yield error(
            "too-many-partitions", "volume",
            f"has {partitions} partitions; a table of this kind holds {limit}",
            "leave some out",
        )  # fmt: skip


def _contradictions(settings: Settings) -> Iterator[Problem]:
    for volume in settings.volumes:
        path = volume.path
        if not path:
            continue
        if volume.source and volume.format != "none":
            yield error(
                "source-needs-no-format", f"{path}.source",
                f"is the raw bytes of a file, and format is {show(volume.format)}",
                'take format = "none", or put the file into the contents',
                edit('Take format "none"', (f"{path}.format", "none")),
            )  # fmt: skip
        row = FILESYSTEMS.get(volume.format)
        if row is not None and volume.free and not volume.rest and not row.writable:
            yield Problem(
                "free-in-read-only", "warning", f"{path}.free",
                f"asks for free space, and {row.title} has none: it is as large as its contents",
                "", _leave_out(f"{path}.free"),
            )  # fmt: skip
        if volume.compression and row is not None:
            yield from _compression(f"{path}.compression", volume.compression, row)
        if volume.offset is not None and volume.role != "raw":
            yield error(
                "offset-needs-raw", f"{path}.offset",
                f"is for a volume outside of all partitions, and the role is {show(volume.role)}",
                'take role = "raw", or remove the key', _leave_out(f"{path}.offset"),
            )  # fmt: skip
        if volume.offset is not None and not (volume.source or volume.size):
            yield error(
                "offset-needs-source", f"{path}.source",
                "is missing: outside of all partitions there can only be a file's bytes",
                "name the file, or give a size to keep that room free",
            )  # fmt: skip
        if volume.role == "bios-boot" and settings.scheme == "mbr":
            yield error(
                "bios-boot-needs-gpt", f"{path}.role",
                "is bios-boot, which only a GPT has; behind an MBR, GRUB is in the gap",
                "leave the volume out",
            )  # fmt: skip
        if volume.type and is_uuid(volume.type) != (settings.scheme == "gpt"):
            kind = "a GUID" if settings.scheme == "gpt" else "a number as in 0x83"
            yield error(
                "type-unfit", f"{path}.type",
                f"is {show(volume.type)}, and a partition of this table has {kind} for a type",
                "", _leave_out(f"{path}.type"),
            )  # fmt: skip
        loads = settings.boot.loader != "none"  # then the loader's own rule refuses it
        if volume.role == "esp" and row is not None and row.files and not (row.firmware or loads):
            yield Problem(
                "firmware-cannot-read", "warning", f"{path}.format",
                f"is {volume.format}, and UEFI reads the ESP through the firmware, which reads FAT "
                "only",
                "take vfat", edit(f"Make {volume.id} FAT", (f"{path}.format", "vfat")),
            )  # fmt: skip
        yield from _label(path, volume.format, volume.label)
        yield from _identifier(path, volume.format, volume.uuid)


def _compression(path: str, compression: str, row: Filesystem) -> Iterator[Problem]:
    """Yields a compression that a format does not have."""
    known = row.compressions or ("none",)
    if compression not in known and compression in VOLUME_COMPRESSIONS:
        yield error(
            "compression-unknown", path,
            f"is {show(compression)}, and {row.title} has " + (
                ", ".join(known) if row.compressions else "no compression"
            ),
            "", _leave_out(path),
        )  # fmt: skip


def _label(path: str, format_: str, label: str) -> Iterator[Problem]:
    known = FILESYSTEMS.get(format_)
    if not label or known is None:
        return
    if not known.label_bytes:
        yield error(
            "no-label", f"{path}.label", f"is {show(label)}, and {known.title} has no label",
            "its partition has a name", _leave_out(f"{path}.label"),
        )  # fmt: skip
        return
    size = len(label.encode(errors="replace"))
    if size > known.label_bytes:
        short = label.encode(errors="replace")[: known.label_bytes].decode(errors="ignore")
        yield error(
            "label-too-long", f"{path}.label",
            f"{show(label)} has {in_bytes(size)}; a label of {format_} has at most "
            f"{known.label_bytes:,}",
            "", edit(f"Shorten it to {short}", (f"{path}.label", short)),
        )  # fmt: skip


def _identifier(path: str, format_: str, uuid: str) -> Iterator[Problem]:
    row = FILESYSTEMS.get(format_)
    if uuid and row is not None and not row.identifier:
        yield error(
            "bad-uuid", f"{path}.uuid", f"is {show(uuid)}, and {row.title} has no UUID",
            "the volume is found by its partition's guid", _leave_out(f"{path}.uuid"),
        )  # fmt: skip
        return
    short = _VOLUME_ID.fullmatch(uuid) is not None
    if uuid and short != has_serial(format_):
        form = "XXXX-XXXX" if has_serial(format_) else "a UUID"
        yield error(
            "bad-uuid", f"{path}.uuid", f"is {show(uuid)}, and a {format_} has {form}",
            "", _leave_out(f"{path}.uuid"),
        )  # fmt: skip


def _growth(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    if settings.size.disk is not None:
        return
    growing = [(index, entry) for index, entry in enumerate(spec.volume) if entry.grow is not None]
    for index, _ in growing[1:]:
        yield error(
            "grow-on-auto", f"volume[{index}].grow",
            "is a share of what is left, and a disk of automatic size has nothing left to share",
            "give the disk a size, or this volume a size or free",
            _leave_out(f"volume[{index}].grow"),
        )  # fmt: skip


def _grown(settings: Settings) -> Iterator[Problem]:
    """What keeps the disk from growing at the first boot."""
    wanted = settings.size.grow_to
    if wanted is None:
        return
    disk = settings.size.disk
    if disk is not None and wanted < disk:
        yield error(
            "grow-to-small", "size.grow_to",
            f"is {format_exact(wanted)}, and the disk has {format_exact(disk)} already",
            "give a size above it", _leave_out("size.grow_to"),
        )  # fmt: skip
    there = [volume for volume in settings.volumes if volume.partitioned]
    growing = next((volume for volume in there if volume.grown), None)
    if growing is None:
        yield error(
            "nothing-grows", "size.grow_to", "there is no root, nor a volume with the flag "
            "grow-file-system, to grow with the disk",
            'give a volume flags = ["grow-file-system"]', _leave_out("size.grow_to"),
        )  # fmt: skip
        return
    last = there[-1]
    if not last.grown:
        moved = edit(f"Move {growing.id} to the end", (f"{growing.path}.after", last.id))
        yield error(
            "grow-not-last", f"{growing.path}.after" if growing.path else "size.grow_to",
            f"{growing.id} grows with the disk, and {last.id} comes after it and takes its room",
            f'put {growing.id} behind it with after = "{last.id}"',
            moved if growing.path else None,
        )  # fmt: skip
    elif not FILESYSTEMS[last.format].grows:
        yield error(
            "grow-format", f"{last.path}.format" if last.path else "layout.filesystem",
            f"is {show(last.format)}, which a running system cannot grow",
            "take ext4",
            edit("Take ext4", (f"{last.path}.format", "ext4")) if last.path else None,
        )  # fmt: skip

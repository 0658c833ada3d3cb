"""The volumes of an image: those of the preset, with what the spec says of them, and its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.disk import verity
from engine.disk.presets import PRESETS, PresetVolume
from engine.disk.roles import ROLES, Role
from engine.disk.subvolumes import with_default
from engine.disk.volume import Volume
from engine.spec import identity
from engine.spec.filesystems import ESP_LABEL, FILESYSTEMS, RAW, has_serial
from engine.units import MIB

GROWS = "grow-file-system"
"""The flag by which systemd grows a file system to its partition."""
_GROWN = 64 << 30
"""What a volume that grows is made for where nothing says how large it becomes."""

if TYPE_CHECKING:
    from engine.spec.settings import Settings, VolumeSettings


def volumes(settings: Settings) -> tuple[Volume, ...]:
    """Returns the volumes in disk order, with every default filled in.

    A volume that names one to follow which is not there goes to the end of the list.
    """
    given = settings.volume_entries if settings.rules.own_volumes else ()
    entries = {one.id: one for one in given}
    preset = PRESETS[settings.layout.table]
    order = in_order(
        [one.role for one in preset.volumes],
        [(name, entry.after) for name, entry in entries.items()],
    )
    found = {one.role: _of_preset(one, settings, entries.get(one.role)) for one in preset.volumes}
    for name, entry in entries.items():
        if name not in found:
            found[name] = _added(entry, settings, list(found.values()))
    shared = _shared_out([found[name] for name in order], settings)
    return _sealed(_growing(shared, settings))


def in_order(preset: Sequence[str], entries: Sequence[tuple[str, str]]) -> list[str]:
    """Returns the ids of volumes in disk order.

    Args:
        preset: Ids of the preset's volumes.
        entries: Id of each entry with that of the volume it follows, or "".
    """
    order = [*preset, *dict.fromkeys(name for name, _ in entries if name not in preset)]
    for name, after in entries:
        if after in order and after != name:
            order.remove(name)
            order.insert(order.index(after) + 1, name)
    return order


def _shared_out(found: list[Volume], settings: Settings) -> tuple[Volume, ...]:
    """Gives the root the rest of a disk of fixed size where no other volume has a share."""
    if not any(volume.grow and not volume.rest for volume in found):
        return tuple(found)
    return tuple(
        replace(volume, grow=0, free=settings.size.additional) if volume.rest else volume
        for volume in found
    )


def _sealed(found: tuple[Volume, ...]) -> tuple[Volume, ...]:
    """Marks what dm-verity reads as read-only; GUIDs that follow from a root hash are not known.

    The Discoverable Partitions Specification derives them: of the data from the first half of the
    hash, of the tree from the last.
    """
    data = {one.id for one in verity.hashed(found)}

    def sealed(one: Volume) -> Volume:
        if one.id not in data and one.format not in {verity.TREE, verity.SIGNATURE}:
            return one
        attributes = tuple(dict.fromkeys((*one.attributes, "read-only")))
        guid = one.guid if one.format == verity.SIGNATURE else ""
        return replace(one, attributes=attributes, guid=guid)

    return tuple(map(sealed, found))


def _growing(found: tuple[Volume, ...], settings: Settings) -> tuple[Volume, ...]:
    """Marks what grows with the disk: what has the flag, else the root where the disk shall."""
    wanted = settings.size.grow_to if settings.rules.own_volumes else None
    flagged = {volume.id for volume in found if GROWS in volume.attributes}
    if wanted is not None and not flagged:
        flagged = {volume.id for volume in found if volume.role == "root"}
    return tuple(
        replace(
            volume,
            grown=wanted or _GROWN,
            attributes=tuple(dict.fromkeys((*volume.attributes, GROWS))),
        )
        if volume.id in flagged
        else volume
        for volume in found
    )


def _of_preset(wanted: PresetVolume, settings: Settings, entry: VolumeSettings | None) -> Volume:
    """Returns a volume of a preset; the root has the spec's own keys, the others defaults."""
    role = ROLES[entry.role] if entry is not None and entry.role else wanted.purpose
    is_root = wanted.role == "root"
    rest = wanted.size == "rest"
    base = Volume(
        id=wanted.role,
        role=role.key,
        format=settings.layout.filesystem if is_root else wanted.format or role.format,
        mount=wanted.mount,
        takes_below=is_root or settings.rules.own_volumes,
        type=wanted.type,
        size=None if rest else settings.size.boot if wanted.size == "boot" else int(wanted.size),
        free=settings.size.additional if rest and settings.size.disk is None else None,
        grow=1 if rest and settings.size.disk is not None else 0,
        rest=rest,
        inodes=settings.size.inodes if is_root else None,
        label=settings.layout.label if is_root else wanted.label,
        name=role.name,
        flags=role.flags if wanted.flags is None else wanted.flags,
    )
    if entry is not None:
        base = _changed(base, entry, settings)
    return _identified(base, settings, entry)


def _added(entry: VolumeSettings, settings: Settings, before: list[Volume]) -> Volume:
    """Returns a volume that the preset does not have."""
    role = ROLES[entry.role or (entry.id if entry.id in ROLES else "data")]
    mounted = {volume.mount for volume in before}
    is_root = entry.id == "root"
    base = Volume(
        id=entry.id,
        role=role.key,
        format=_format(entry, role, settings),
        label=settings.layout.label
        if is_root and not entry.source
        else ESP_LABEL
        if role.key == "esp"
        else "",
        inodes=settings.size.inodes if is_root else None,
        mount=None if role.mount in mounted else role.mount,
        name=role.name if entry.id == role.key else entry.id,
        flags=role.flags,
        free=0,
        path=entry.path,
    )
    sized = (entry.size, entry.free, entry.grow) != (None, None, None)
    if role.key == "esp" and not sized:
        base = replace(base, size=settings.size.boot, free=None)
    elif role.key == "bios-boot" and not sized:
        base = replace(base, size=MIB, free=None)
    return _identified(_changed(base, entry, settings), settings, entry)


def _format(entry: VolumeSettings, role: Role, settings: Settings) -> str:
    """Returns the format that a volume of one's own has by default."""
    if entry.source:
        return RAW
    if entry.verity and role.key in verity.FORMATS:
        return verity.FORMATS[role.key]
    return settings.layout.filesystem if entry.id == "root" else role.format


def _changed(base: Volume, entry: VolumeSettings, settings: Settings) -> Volume:
    """Returns a volume with what an entry says of it."""
    format_ = base.format if entry.format is None else entry.format
    row = FILESYSTEMS.get(format_)
    default = base.label if row is None or row.label_bytes else ""
    changed = replace(
        base,
        format=format_,
        label=default if entry.label is None else entry.label,
        name=base.name if entry.name is None else entry.name,
        mount=base.mount if entry.mount is None else entry.mount or None,
        takes_below=base.takes_below or bool(entry.mount),
        least=entry.min or 0,
        type=entry.type or base.type,
        attributes=entry.flags,
        compression=entry.compression,
        subvolumes=entry.subvolumes,
        default_subvolume=entry.default_subvolume,
        source=entry.source,
        offset=entry.offset,
        verity=entry.verity,
        key=entry.key,
        certificate=entry.certificate,
        path=entry.path,
    )
    subvolumes = with_default(entry.subvolumes, entry.default_subvolume, changed.top)
    changed = replace(changed, subvolumes=subvolumes)
    if entry.size is not None:
        return replace(changed, size=entry.size, free=None, grow=0, rest=False)
    if entry.free is not None:
        return replace(changed, size=None, free=entry.free, grow=0, rest=False)
    if entry.grow is not None:
        automatic = settings.size.disk is None
        return replace(
            changed,
            size=None,
            free=(base.free or 0) if automatic else None,
            grow=0 if automatic else entry.grow,
            rest=False,
        )
    return changed


def _identified(volume: Volume, settings: Settings, entry: VolumeSettings | None) -> Volume:
    """Returns a volume with its identifiers: those given, else derived from its id."""
    given = entry.uuid if entry is not None else ""
    root = volume.id == "root"
    uuid = given or (
        settings.identity.root_filesystem_uuid
        if root and not has_serial(volume.format) and _identifies(volume.format)
        else derived_uuid(settings, volume.id, volume.format)
    )
    guid = (entry.guid if entry is not None else "") or partition_guid(settings, volume.id)
    return replace(
        volume, uuid=uuid.upper() if has_serial(volume.format) else uuid.lower(), guid=guid.upper()
    )


def partition_guid(settings: Settings, volume: str) -> str:
    """Returns the GUID of a volume's partition: the one given for the root, else derived."""
    if volume == "root":
        return settings.identity.root_partition_guid
    return str(identity.derive(settings.identity.seed, f"partition/{volume}")).upper()


def _identifies(format_: str) -> bool:
    row = FILESYSTEMS.get(format_)
    return row is None or row.identifier


def derived_uuid(settings: Settings, volume: str, format_: str) -> str:
    """Returns the identifier that a seed gives to a file system, as its format has it."""
    if not _identifies(format_):
        return ""
    role = f"filesystem/{volume}"
    if has_serial(format_):
        text = f"{identity.derive_32(settings.identity.seed, role):08X}"
        return f"{text[:4]}-{text[4:]}"
    return str(identity.derive(settings.identity.seed, role))

"""The volumes of an image: those of the preset, with what the spec says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.disk.presets import PRESETS, PresetVolume
from engine.disk.volume import Volume
from engine.spec import identity

if TYPE_CHECKING:
    from engine.spec.settings import Settings


def volumes(settings: Settings) -> tuple[Volume, ...]:
    """Returns the volumes in disk order, with every default filled in.

    Args:
        settings: All other settings.
    """
    preset = PRESETS[settings.table]
    return tuple(_of_preset(volume, settings) for volume in preset.volumes)


def _of_preset(wanted: PresetVolume, settings: Settings) -> Volume:
    """Returns a volume of a preset; the root has the spec's own keys, the others defaults."""
    role = wanted.purpose
    is_root = wanted.role == "root"
    format_ = settings.filesystem if is_root else role.format
    rest = wanted.size == "rest"
    return Volume(
        id=wanted.role,
        role=wanted.role,
        format=format_,
        mount=wanted.mount,
        size=None if rest else settings.boot_bytes if wanted.size == "boot" else int(wanted.size),
        free=settings.additional_bytes if rest and settings.disk_bytes is None else None,
        grow=1 if rest and settings.disk_bytes is not None else 0,
        inodes=settings.additional_inodes if is_root else None,
        label=settings.label if is_root else wanted.label,
        uuid=settings.root_filesystem_uuid
        if is_root
        else derived_uuid(settings, wanted.role, format_),
        guid=partition_guid(settings, wanted.role),
        name=role.name,
        flags=role.flags if wanted.flags is None else wanted.flags,
    )


def partition_guid(settings: Settings, volume: str) -> str:
    """Returns the GUID of a volume's partition: the one given for the root, else derived."""
    if volume == "root":
        return settings.root_partition_guid
    return str(identity.derive(settings.seed, f"partition/{volume}")).upper()


def derived_uuid(settings: Settings, volume: str, format_: str) -> str:
    """Returns the identifier that a seed gives to a file system, as its format has it."""
    if format_ == "none":
        return ""
    role = f"filesystem/{volume}"
    if format_ == "vfat":
        text = f"{identity.derive_32(settings.seed, role):08X}"
        return f"{text[:4]}-{text[4:]}"
    return str(identity.derive(settings.seed, role))

"""Where the system in an image mounts its partitions: what its /etc/fstab says (fstab(5))."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import msgspec

from engine.boot.devices import tagged
from engine.boot.fstab import PATH
from engine.boot.fstab_lines import unescaped
from engine.disk.roles import ROLES, Role
from engine.disk.subvolumes import Arrangement, Subvolume, below, subvolume_in, with_default
from engine.image.container import BadImage
from engine.image.reading import Filesystem, is_divided
from engine.inspect.image import Part
from engine.problem import printable
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.model import VolumeEntry
from engine.units import human

_MOST = 1 << 16
_MOST_TOPS = 16
_SUBVOLUME_ID = "subvolid="
_TOP_IDS = (0, 5)
"""Ids by which a mount names the top of a Btrfs (btrfs(5))."""


def with_mounts(
    volumes: tuple[VolumeEntry, ...], parts: Mapping[str, Part]
) -> tuple[VolumeEntry, ...]:
    """Returns volumes with the mount points that the root's fstab has for them.

    One that it does not name stays where its role is mounted, as systemd would find it.

    Args:
        volumes: One of them mounted at / by its role; without one, nothing changes.
        parts: The part of the image that each is, by id.
    """
    root = next((one for one in volumes if _role(one).mount == "/" and one.mount is None), None)
    filesystem = parts[root.id].filesystem if root is not None else None
    if root is None or filesystem is None:
        return volumes
    places: dict[str, str] = {}
    inside: dict[str, dict[str, str]] = {}
    for device, place, _, options in _lines(_text(filesystem)):
        if not place:
            continue
        volume = next((one.id for one in volumes if _is(parts[one.id], device)), None)
        if volume is None:
            continue
        name = _subvolume(options, parts[volume])
        if name and place not in inside.setdefault(volume, {}).values():
            inside[volume].setdefault(name, place)
        if place != "/" and volume != root.id and place not in places.values():
            places.setdefault(volume, place)
    return tuple(
        _divided(_mounted(one, places.get(one.id, "")), parts[one.id], inside.get(one.id, {}))
        for one in volumes
    )


def swap_files(stored: Filesystem, mounted: Filesystem) -> Iterator[str]:
    """Yields a sentence for each swap file that the root's fstab names: what, where, what to do.

    Args:
        stored: The root as it is on the disk.
        mounted: As its subvolumes show it once they are mounted.
    """
    for device, _, kind, _ in _lines(_text(stored)):
        if kind != "swap" or not device.startswith("/") or device.startswith("/dev/"):
            continue
        try:
            node = mounted.lookup(device.strip("/").encode())
        except (BadImage, struct.error):
            node = None
        if node is None:
            found = "which is not in this file system: make it at the first boot, or"
        else:
            found = (
                f"{human(node.size)}; a copy of it may have holes, which swapon refuses: leave it "
                "out (exclude) and make it at the first boot, or"
            )
        name = printable(device)
        yield f'/etc/fstab names the swap file {name}, {found} add a volume with role = "swap"'


def _divided(volume: VolumeEntry, part: Part, places: Mapping[str, str]) -> VolumeEntry:
    """Returns a volume with the subvolumes that show once it is mounted as it was."""
    try:
        tops = part.filesystem.tops if is_divided(part.filesystem) else ()
    except BadImage:
        return volume
    names = {top.decode("utf-8", "replace"): top for top in tops if top}
    default = next((name for name, top in names.items() if top == tops[0]), "")
    mount = volume.mount if volume.mount is not None else _role(volume).mount
    if mount:
        places = {name: place for name, place in places.items() if below(place, mount) is not None}
    found = [Subvolume(name, places.get(name, "")) for name in names]
    shown = Arrangement(with_default(found, default, mount or ""), mount or "") if mount else None
    texts = [
        str(one) for one in found if shown is None or shown.outside(one.name.encode()) is not None
    ]
    return msgspec.structs.replace(
        volume, subvolumes=tuple(texts), default_subvolume=default or None
    )


def _mounted(volume: VolumeEntry, place: str) -> VolumeEntry:
    role = _role(volume)
    row = FILESYSTEMS.get(volume.format or role.format)
    if not place or row is None or not row.files or role.mount == place:
        return volume
    return msgspec.structs.replace(volume, mount=place)


def _role(volume: VolumeEntry) -> Role:
    """Returns the role of a volume, which its id says where nothing else does."""
    return ROLES[volume.role or (volume.id if volume.id in ROLES else "data")]


def _text(filesystem: Filesystem) -> str:
    """Returns the fstab: of the first subvolume that has one, where there are some."""
    try:
        tops = filesystem.tops[:_MOST_TOPS] if is_divided(filesystem) else (b"",)
        paths = (b"/".join(filter(None, (top, PATH))) for top in tops)
        node = next(filter(None, map(filesystem.lookup, paths)), None)
        if node is None or not 0 < node.size <= _MOST:
            return ""
        pieces = b"".join(data for _, data in filesystem.data(node))
    except (BadImage, struct.error):
        return ""  # what is damaged is told by those who read all of it
    return pieces.decode("utf-8", "replace")


def _subvolume(options: list[str], part: Part) -> str:
    """Returns the subvolume that a mount names, by its path or its id; "" for none or the top."""
    named = subvolume_in(options)
    if named is not None:
        return named
    ids = [each.removeprefix(_SUBVOLUME_ID) for each in options if each.startswith(_SUBVOLUME_ID)]
    try:
        number = int(ids[-1], 0) if ids else _TOP_IDS[0]
        if number in _TOP_IDS or not is_divided(part.filesystem):
            return ""
        return part.filesystem.subvolumes().get(number, b"").decode("utf-8", "replace")
    except (ValueError, BadImage, struct.error):
        return ""


def _lines(text: str) -> Iterator[tuple[str, str, str, list[str]]]:
    """Yields device, mount point ("" for none), type and options of each line."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        place = unescaped(fields[1])
        options = fields[3].split(",") if len(fields) > 3 else []
        mounted = place.startswith("/") and ".." not in PurePosixPath(place).parts
        place = str(PurePosixPath(place)) if mounted else ""
        yield unescaped(fields[0]), place, fields[2], options


def _is(part: Part, device: str) -> bool:
    """Whether a device's name in an fstab is that of a partition."""
    tag, value = tagged(device)
    partition, content = part.partition, part.content
    known = {
        "UUID": content.uuid if content is not None else "",
        "LABEL": content.label if content is not None else "",
        "PARTUUID": (partition.guid or "") if partition is not None else "",
        "PARTLABEL": (partition.name or "") if partition is not None else "",
    }
    found = known.get(tag, "")
    same = found == value if tag in {"LABEL", "PARTLABEL"} else found.lower() == value.lower()
    return bool(found) and same

"""Where the system in an image mounts its partitions: what its /etc/fstab says (fstab(5))."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

import msgspec

from engine.boot.devices import tagged
from engine.boot.fstab import PATH
from engine.disk.roles import ROLES, Role
from engine.image.container import BadImage
from engine.image.reading import Filesystem
from engine.inspect.image import Part
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.model import VolumeEntry

_MOST = 1 << 16
_OCTAL = re.compile(r"\\([0-7]{3})")


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
    for device, place in _lines(_text(filesystem)):
        volume = next((one.id for one in volumes if _is(parts[one.id], device)), None)
        if volume is not None and volume != root.id and place not in places.values():
            places.setdefault(volume, place)
    return tuple(_mounted(one, places.get(one.id, "")) for one in volumes)


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
    try:
        node = filesystem.lookup(PATH)
        if node is None or not 0 < node.size <= _MOST:
            return ""
        pieces = b"".join(data for _, data in filesystem.data(node))
    except (BadImage, struct.error):
        return ""  # what is damaged is told by those who read all of it
    return pieces.decode("utf-8", "replace")


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Yields device and mount point of each line that has both."""
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 3 or fields[0].startswith("#"):
            continue
        place = _OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[1])
        if place.startswith("/") and place != "/" and ".." not in PurePosixPath(place).parts:
            yield fields[0], str(PurePosixPath(place))


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

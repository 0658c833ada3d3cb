"""What files and command lines call devices, and whether the image has them.

Sources: fstab(5), libblkid's tags; the kernel's Documentation/admin-guide/devices.txt.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from engine.disk import verity
from engine.disk.volume import Volume
from engine.spec.settings import Settings

_BY = {
    "by-uuid": "UUID",
    "by-label": "LABEL",
    "by-partuuid": "PARTUUID",
    "by-partlabel": "PARTLABEL",
}
_TAGS = frozenset(_BY.values())
_LINK = re.compile(r"/dev/disk/(by-[a-z0-9]+)/(.+)")
# A disk's partition: its number is all that it says.
_DISK = re.compile(r"/dev/(?:[sh]d[a-z]+|nvme\d+n\d+p?|mmcblk\d+p?)(\d*)")
_VIRTUAL = re.compile(r"/dev/x?vd[a-z]+(\d*)")
_LAYERS = re.compile(r"/dev/(?:mapper/|md|dm-)(.*)")
# LVM's name of a volume in a group; the folders are those that udev has for other things.
_GROUP = re.compile(r"/dev/(?!(?:block|bus|by-|char|cdrom|disk|loop|mapper|shm|zvol)/)[^/]+/[^/]+")
_CASED = frozenset({"LABEL", "PARTLABEL"})
_DRIVERS = {"ext2": ("ext4",), "ext3": ("ext4", "ext2"), "vfat": ("msdos",)}
"""By what other type a kernel mounts a format, too."""


def device(settings: Settings, volume: Volume) -> str:
    """Returns what systems find a volume by: its file system, else its partition.

    What has a hash tree is found by the device that verifies it.
    """
    if volume in verity.hashed(settings.volumes):
        return verity.MAPPED[volume.role]
    return f"UUID={volume.uuid}" if volume.uuid else f"PARTUUID={settings.partuuid(volume)}"


@dataclass(frozen=True)
class Devices:
    """What the volumes of an image can be found by.

    Attributes:
        settings: The spec, resolved.
        mapped: Names below /dev/mapper that something in the image makes.
    """

    settings: Settings
    mapped: frozenset[str] = frozenset()

    @cached_property
    def _known(self) -> Mapping[str, frozenset[str]]:
        tags = [self._tags(volume) for volume in self.settings.volumes]
        return {tag: frozenset(each[tag] for each in tags) for tag in _TAGS}

    def _tags(self, volume: Volume) -> Mapping[str, str]:
        return {
            "UUID": volume.uuid.lower(), "LABEL": volume.label,
            "PARTUUID": self.settings.partuuid(volume), "PARTLABEL": volume.name or "",
        }  # fmt: skip

    @cached_property
    def _opaque(self) -> bool:
        """Whether a partition holds bytes of a file, which may be any file system."""
        return any(volume.source and volume.partitioned for volume in self.settings.volumes)

    @cached_property
    def _verified(self) -> frozenset[str]:
        """The devices that verify what has a hash tree."""
        hashed = verity.hashed(self.settings.volumes)
        return frozenset(verity.MAPPED[volume.role] for volume in hashed)

    def lacks(self, text: str, meant: Volume | None = None) -> bool:
        """Whether a text names a device, and none that the image has.

        Args:
            text: "UUID=...", "/dev/disk/by-label/...", "/dev/sda2"; anything else is not a device.
            meant: The volume that it should be, where that is known.
        """
        tag, value = tagged(text)
        if tag in _TAGS:
            wanted = value if tag in _CASED else value.lower()
            inside = self._opaque and tag in {"UUID", "LABEL"}
            return not inside and wanted not in self._known[tag]
        if text.startswith("/dev/disk/"):
            # systemd has these links for what it finds by type alone.
            return not text.startswith("/dev/disk/by-designator/")
        number = _DISK.fullmatch(text) or _VIRTUAL.fullmatch(text)
        if number is not None:
            ours = {self.settings.number(volume.id) for volume in self.settings.volumes}
            right = ours if meant is None else {self.settings.number(meant.id)}
            return int(number[1] or 0) not in right
        if _GROUP.fullmatch(text):
            return not self._opaque
        layer = _LAYERS.fullmatch(text)
        if layer is None or self._opaque or text in self._verified:
            return False
        return layer[1] not in self.mapped

    def named(self, text: str) -> Volume | None:
        """Returns the volume that a text names by a tag, or None."""
        tag, value = tagged(text)
        if tag not in _TAGS or not value:
            return None
        wanted = value if tag in _CASED else value.lower()
        found = (one for one in self.settings.volumes if self._tags(one)[tag] == wanted)
        return next(found, None)

    def name(self, volume: Volume) -> str:
        """Returns what the image has a volume found by."""
        return device(self.settings, volume)


def mounts_as(volume: Volume, types: str) -> bool:
    """Whether a kernel mounts a volume as one of some types, "ext4,xfs" or "auto"."""
    return not {"auto", volume.format, *_DRIVERS.get(volume.format, ())}.isdisjoint(
        types.split(",")
    )


def tagged(text: str) -> tuple[str, str]:
    """Returns tag and value of a device's name; "" and the text where it is not by a tag."""
    link = _LINK.fullmatch(text)
    if link is not None and link[1] in _BY:
        return _BY[link[1]], re.sub(
            r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), link[2]
        )
    tag, equals, value = text.partition("=")
    return (tag, value.strip('"')) if equals and tag in _TAGS else ("", text)


def is_numbered(text: str) -> bool:
    """Whether a device is a partition of a disk whose name depends on the machine."""
    return _DISK.fullmatch(text) is not None

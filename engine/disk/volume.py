"""A volume as it is wanted: something with bytes on the disk, before it has a place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from engine.disk.roles import ROLES, Role
from engine.disk.subvolumes import Arrangement, Subvolume, mounted, place

Scheme = Literal["none", "mbr", "gpt"]
"""How partitions are recorded; none: the image is one bare file system."""

Firmware = Literal["bios", "uefi"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One volume of a disk. Sizes are bytes.

    Exactly one of `size`, `free` and `grow` says how large it becomes.

    Attributes:
        id: Unique in the spec.
        role: Key of `engine.disk.roles.ROLES`.
        format: Key of the table of file systems, or "none" for raw bytes or nothing.
        mount: Where it is mounted, or None.
        takes_below: Contents below its mount point go to it automatically.
        size: A fixed size.
        free: What its contents need, and so much more.
        grow: Its share, by weight, of what a disk of fixed size has left.
        rest: It has what others leave, since nothing is said of its size.
        grown: Bytes that a running system will grow it to, or 0.
        inodes: Free inodes, or None for what goes with the free space.
        least: It is never smaller.
        label: Of the file system.
        uuid: Of the file system.
        guid: Of the partition.
        name: Of the GPT partition, or None.
        type: Partition type that overrides the role's, or "".
        flags: What libparted calls the flags of its partition.
        attributes: As a spec has them ("read-only", "no-auto", "grow-file-system", "legacy-boot").
        compression: Where the format knows it, else "".
        subvolumes: Where the format knows them.
        default_subvolume: Name of the one that is mounted where nothing else is said, or "" for
            the top of the file system.
        source: File whose bytes it holds (format none), or "".
        offset: Byte of the disk, outside all partitions, or None for a partition.
        verity: Id of the volume whose hash tree, or the signature of it, it holds; or "".
        key, certificate: PEM files that the signature of a hash tree is made with, or "".
        path: Its key path in the spec, or "" for a volume of the preset.
    """

    id: str
    role: str
    format: str
    mount: str | None = None
    takes_below: bool = True
    size: int | None = None
    free: int | None = None
    grow: int = 0
    rest: bool = False
    grown: int = 0
    inodes: int | None = None
    least: int = 0
    label: str = ""
    uuid: str = ""
    guid: str = ""
    name: str | None = None
    type: str = ""
    flags: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    compression: str = ""
    subvolumes: tuple[Subvolume, ...] = ()
    default_subvolume: str = ""
    source: str = ""
    offset: int | None = None
    verity: str = ""
    key: str = ""
    certificate: str = ""
    path: str = ""

    @property
    def purpose(self) -> Role:
        """The row of its role."""
        return ROLES[self.role]

    @property
    def top(self) -> str:
        """Where it is mounted, as a path without slashes that mean nothing; "" for nowhere."""
        return place(self.mount) if self.mount else ""

    @property
    def mounts(self) -> tuple[Subvolume, ...]:
        """What of it is mounted, parents first; the top of the file system has the name ""."""
        return mounted(self.subvolumes, self.top) if self.mount else ()

    @property
    def arrangement(self) -> Arrangement:
        """Where in its file system the paths of what is mounted lie."""
        return Arrangement(self.subvolumes, self.top)

    def option(self, subvolume: Subvolume) -> str:
        """Returns the option of a mount that names a subvolume, "" if none has to."""
        found = subvolume.mount != self.top or subvolume.name != self.default_subvolume
        return f"subvol={subvolume.name}" if subvolume.name and found else ""

    @property
    def partitioned(self) -> bool:
        """Whether it is a partition wherever the disk has a table."""
        return self.offset is None


def firmware_of(scheme: Scheme, roles: Iterable[str]) -> tuple[Firmware, ...]:
    """Returns which firmware a disk has a place for: what the volumes and the table give.

    A BIOS boots from a BIOS boot partition or from the gap behind an MBR, UEFI from an ESP.
    """
    there = set(roles)
    found: list[Firmware] = []
    if "bios-boot" in there or scheme == "mbr":
        found.append("bios")
    if "esp" in there:
        found.append("uefi")
    return tuple(found)

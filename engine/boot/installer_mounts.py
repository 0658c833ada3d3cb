"""Where a NixOS system's own boot loader installer finds the volumes of an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.spec.filesystems import FILESYSTEMS
from engine.spec.settings import Settings

BOOT = "/boot"
"""Where NixOS mounts the ESP unless it is told otherwise (boot.loader.efi.efiSysMountPoint)."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume, or a subvolume of one, as the installer sees it.

    Attributes:
        volume: Id of the volume.
        number: Of its partition.
        place: Absolute path.
        format: Of its file system.
        option: Of the mount, to name a subvolume; or "".
    """

    volume: str
    number: int
    place: str
    format: str
    option: str = ""

    @property
    def writable(self) -> bool:
        """Whether the installer can put files there."""
        return FILESYSTEMS[self.format].writable

    @property
    def is_folder(self) -> bool:
        """Whether a folder stands for it, whose files are then written as they are planned: FAT."""
        return FILESYSTEMS[self.format].firmware


def mounts(settings: Settings) -> tuple[Mount, ...]:
    """Returns what is mounted, the root first and parents before what is below them."""
    return tuple(sorted(_mounts(settings), key=lambda mount: mount.place.rstrip("/")))


def _mounts(settings: Settings) -> Iterator[Mount]:
    taken = {volume.mount for volume in settings.volumes}
    for volume in settings.volumes:
        number, format_ = settings.number(volume.id), volume.format
        if volume.role == "esp" and not volume.mount and BOOT not in taken:
            yield Mount(volume.id, number, BOOT, format_)
        elif FILESYSTEMS[format_].files:
            for one in volume.mounts:
                yield Mount(volume.id, number, one.mount, format_, volume.option(one))


def needs_disk(settings: Settings) -> bool:
    """Whether the installer needs a disk with file systems on it, not just folders.

    It does where it writes boot code, and where /boot is not FAT: what it adds to the root or to
    another file system has no place in the plan.
    """
    if not settings.boots:
        return False
    if "bios" in settings.boots and not settings.has("esp"):
        return True
    home = next((one for one in mounts(settings) if one.place == BOOT), None)
    return home is None or not home.is_folder

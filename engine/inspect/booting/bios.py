"""What a BIOS would boot from an image: its boot sector, and what that leads to."""

from __future__ import annotations

import struct

from engine.boot.grub import SECTOR
from engine.inspect.booting.boot import Boot, from_grub, not_started
from engine.inspect.booting.grub import GrubMenu
from engine.inspect.image import Image

_CODE_SIZE = 440
_KERNEL_SECTOR = 0x5C
"""Where GRUB's boot code keeps the sector of its core image (include/grub/i386/pc/boot.h)."""
_SIGNATURE = slice(510, 512)
# What mkfs.fat and others put there to be shown, not to boot.
_REFUSALS = (b"not a bootable disk", b"not bootable", b"Non-System disk")


def bios_boot(image: Image, menus: list[GrubMenu]) -> Boot:
    """Returns what a BIOS would boot.

    Raises:
        BadImage: The image's container is damaged.
    """
    if image.disk.size < SECTOR:
        return not_started("the disk is smaller than a boot sector")
    sector = image.disk.read(0, SECTOR)
    code = sector[:_CODE_SIZE]
    if sector[_SIGNATURE] != b"\x55\xaa" or not any(code):
        return not_started("the boot sector has no boot code")
    if any(text in sector for text in _REFUSALS):
        return not_started("the boot sector's code only says that the disk is not bootable")
    if b"GRUB" not in code:
        return Boot("unknown", ("boot sector",), notes=("its code is not known here",))
    (lba,) = struct.unpack_from("<Q", sector, _KERNEL_SECTOR)
    at = lba * SECTOR
    if not lba or at + SECTOR > image.disk.size or not any(image.disk.read(at, SECTOR)):
        return not_started(f"GRUB's boot code wants its core at sector {lba}, where nothing is")
    core = f"GRUB's core image at sector {lba}, in {_place(image, at)}"
    started = from_grub([menu for menu in menus if not menu.on_esp])
    return started.behind("boot sector: GRUB for BIOS", core)


def _place(image: Image, at: int) -> str:
    for part in image.parts:
        if part.partition and 0 <= at - part.window.start < part.window.size:
            return part.name
    return "the space outside of partitions"

"""GRUB: its menu, its core images, and the BIOS boot code that finds them.

Offsets in the boot sector and in the first sector of core.img are those of GRUB's
include/grub/i386/pc/boot.h.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from engine.boot.menu import MenuEntry
from engine.disk.volume import Scheme

SECTOR = 512
CONFIG_PATH = b"boot/grub/grub.cfg"

_COMMON_MODULES = (
    "part_gpt", "part_msdos", "fat", "ext2", "search", "search_fs_uuid", "search_label", "normal",
    "configfile", "linux", "echo", "boot", "serial", "terminal", "test", "true", "ls", "cat",
    "halt", "reboot", "minicmd",
)  # fmt: skip
TARGET_MODULES: dict[str, tuple[str, ...]] = {
    "i386-pc": ("biosdisk", *_COMMON_MODULES),
    "x86_64-efi": ("efi_gop", "efi_uga", "all_video", *_COMMON_MODULES),
}
DROPPED = frozenset({"efi_uga"})
"""Modules that are left out where GRUB has none: 2.14 dropped UGA."""

_KERNEL_SECTOR = 0x5C
_DRIVE_CHECK = 0x66
_BPB = slice(0x03, 0x5A)
_TABLE = slice(0x1B8, SECTOR)
_NOP_NOP = b"\x90\x90"
_BLOCKLIST = 0x1F4


@dataclass(frozen=True, slots=True)
class BootCode:
    """What BIOS booting writes outside all partitions.

    Attributes:
        boot: GRUB's boot.img, 512 bytes, before it is merged with the disk's own first sector.
        core: core.img, patched for its place.
        lba: Sector of 512 bytes where core.img starts.
        room: Sectors there are for it.
    """

    boot: bytes
    core: bytes
    lba: int
    room: int

    @property
    def sectors(self) -> int:
        """Sectors that core.img takes."""
        return -(-len(self.core) // SECTOR)


def partition_name(scheme: Scheme, number: int) -> str:
    """Returns what GRUB calls a partition of the disk that it booted from ("gpt2").

    Named by its place on that disk, the root is found whatever other disks are there, and core.img
    is the same for all images of a layout.
    """
    return f"{'gpt' if scheme == 'gpt' else 'msdos'}{number}"


def mkimage_argv(
    tool: str, target: str, partition: str, output: str, lacking: frozenset[str] = frozenset()
) -> tuple[str, ...]:
    """Returns the grub-mkimage call for a core image that reads its menu from a partition.

    Args:
        tool: grub-mkimage(1).
        target: Key of `TARGET_MODULES`.
        partition: Of the disk that the core boots from, in GRUB's words ("gpt2").
        output: Path of the core image.
        lacking: Modules that this GRUB does not have.
    """
    return (
        tool, "-O", target, "-p", f"(,{partition})/boot/grub", "-o", output,
        *(module for module in TARGET_MODULES[target] if module not in lacking),
    )  # fmt: skip


def quote(text: str) -> str:
    """Returns `text` as one word of GRUB's shell, whatever it holds."""
    return "'" + text.replace("'", "'\\''") + "'"


def menu_config(entries: Sequence[MenuEntry], timeout: int = 3) -> str:
    """Returns grub.cfg: a menu on the screen and, where there is one, the serial port.

    Kernels are read from the partition that holds grub.cfg, which GRUB has as its root.
    """
    lines = [
        "if serial --unit=0 --speed=115200; then",
        "  terminal_input console serial",
        "  terminal_output console serial",
        "fi",
        f"set timeout={timeout}",
        "set default=0",
        "",
    ]
    for entry in entries:
        words = " ".join(quote(word) for word in entry.options.split())
        lines += [
            f"menuentry {quote(entry.heading)} {{",
            f"  linux {quote(entry.kernel_path)} {words}",
        ]
        if entry.initrd_paths:
            paths = " ".join(quote(path) for path in entry.initrd_paths)
            lines.append(f"  initrd {paths}")
        lines += ["}", ""]
    return "\n".join(lines)


def place(boot: bytes, core: bytes, lba: int, room: int) -> BootCode:
    """Patches core.img for its place on the disk.

    Args:
        boot: boot.img as installed.
        core: core.img as grub-mkimage wrote it.
        lba: First sector (512 bytes) of the place.
        room: Sectors in it.
    """
    patched = bytearray(core)
    struct.pack_into("<Q", patched, _BLOCKLIST, lba + 1)
    return BootCode(boot, bytes(patched), lba, room)


def boot_sector(code: BootCode, old: bytes) -> bytes:
    """Returns the disk's first sector with GRUB's boot code and everything else kept.

    Kept are the BIOS parameter block, the disk signature and the partition table.
    """
    sector = bytearray(code.boot[:SECTOR])
    sector[_BPB] = old[_BPB]
    sector[_TABLE] = old[_TABLE]
    struct.pack_into("<Q", sector, _KERNEL_SECTOR, code.lba)
    sector[_DRIVE_CHECK : _DRIVE_CHECK + 2] = _NOP_NOP
    return bytes(sector)

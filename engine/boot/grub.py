"""GRUB: its menu, its core images, and the BIOS boot code that finds them.

Offsets in the boot sector and in the first sector of core.img are those of GRUB's
include/grub/i386/pc/boot.h.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.boot.menu import MenuEntry
from engine.disk.volume import Scheme
from engine.manifest.entry import Entry

SECTOR = 512
CONFIG_PATH = b"boot/grub/grub.cfg"

COMMON_MODULES = (
    "part_gpt", "part_msdos", "fat", "ext2", "search", "search_fs_uuid", "search_label", "normal",
    "configfile", "linux", "echo", "boot", "serial", "terminal", "test", "true", "ls", "cat",
    "halt", "reboot", "minicmd",
)  # fmt: skip
TARGET_MODULES: dict[str, tuple[str, ...]] = {
    "i386-pc": ("biosdisk", *COMMON_MODULES),
    "x86_64-efi": ("efi_gop", "efi_uga", "all_video", *COMMON_MODULES),
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
    tool: str, target: str, prefix: str, output: str, modules: Sequence[str] = (),
    lacking: frozenset[str] = frozenset(),
) -> tuple[str, ...]:  # fmt: skip
    """Returns the grub-mkimage call for a core image that reads its menu from a partition.

    Args:
        tool: grub-mkimage(1).
        target: Key of `TARGET_MODULES`.
        prefix: Folder of the menu, on the disk that the core boots from ("(,gpt2)/boot/grub").
        output: Path of the core image.
        modules: More than every core image has.
        lacking: Modules that this GRUB does not have.
    """
    wanted = (*TARGET_MODULES[target], *modules)
    return (
        tool, "-O", target, "-p", prefix, "-o", output,
        *(module for module in wanted if module not in lacking),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class GrubFile:
    """A file as the menu names it.

    Attributes:
        uuid: Of its file system; "" for the one that holds grub.cfg.
        path: Absolute, in that file system.
    """

    uuid: str
    path: str


def quote(text: str) -> str:
    """Returns `text` as one word of GRUB's shell, whatever it holds."""
    return "'" + text.replace("'", "'\\''") + "'"


def menu_config(
    entries: Sequence[MenuEntry], file: Callable[[Entry], GrubFile], timeout: int = 3
) -> str:
    """Returns grub.cfg: a menu on the screen and, where there is one, the serial port.

    GRUB has the partition that holds grub.cfg as its root, and searches others by their UUID.

    Args:
        entries: The menu.
        file: Tells how it names a kernel or an initrd.
        timeout: Seconds until the first entry starts.
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
        kernel, *initrds = map(file, (entry.kernel, *entry.initrds))
        found = [uuid for uuid in dict.fromkeys(f.uuid for f in (kernel, *initrds)) if uuid]
        names = {"": ""} | {uuid: f"($volume{n})" for n, uuid in enumerate(found)}
        lines.append(f"menuentry {quote(entry.heading)} {{")
        lines += [
            f"  search --no-floppy --fs-uuid --set=volume{n} {uuid}" for n, uuid in enumerate(found)
        ]
        lines.append(f"  linux {names[kernel.uuid]}{quote(kernel.path)} {words}")
        if initrds:
            paths = " ".join(names[each.uuid] + quote(each.path) for each in initrds)
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

"""QEMU's command line for booting an image with its console on the serial port."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from engine.boot.firmware import FirmwareKind

Accelerator = Literal["kvm", "tcg"]
QEMU = "qemu-system-x86_64"


@dataclass(frozen=True, slots=True)
class Board:
    """What QEMU runs an architecture on.

    Attributes:
        program: Its name.
        machines: Type of the machine by firmware; there is none where it has no such firmware.
        options: More of the command.
    """

    program: str
    machines: Mapping[FirmwareKind, str]
    options: tuple[str, ...] = ()


BOARDS: Mapping[str, Board] = MappingProxyType({
    "x86_64": Board(QEMU, {"bios": "pc", "uefi": "q35"}),
    "aarch64": Board("qemu-system-aarch64", {"uefi": "virt"}, ("-cpu", "cortex-a57")),
})  # fmt: skip
"""By architecture, as `uname -m` has it."""

_CUT_SHORT = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|[()])?\Z")
# ECMA-48: CSI sequences, designations of character sets, then any other two-byte escape.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[()][0-9A-Za-z]|[0-Z\\-~])|[\x00-\x08\x0b-\x1f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualMachine:
    """A virtual machine that boots an image.

    Attributes:
        image: Path of the image, which is opened through a temporary overlay.
        format: QEMU's name of the image's format.
        sector_size: Logical sectors of the disk, in bytes.
        memory_mib: Guest memory.
        code: Path of the UEFI firmware; "" boots by BIOS.
        variables: Path of a private copy of its variables.
        architecture: Key of `BOARDS`.
        interactive: Serial port and monitor share the terminal (Ctrl-A X ends it).
    """

    image: str
    format: str
    sector_size: int
    memory_mib: int
    accelerator: Accelerator
    code: str = ""
    variables: str = ""
    architecture: str = "x86_64"
    interactive: bool = False

    @property
    def firmware(self) -> FirmwareKind:
        """The firmware that boots the image."""
        return "uefi" if self.code else "bios"

    def argv(self) -> tuple[str, ...]:
        """Returns the command (qemu(1)); `snapshot=on` keeps every write out of the image."""
        drive = f"if=none,id=disk,snapshot=on,format={self.format},file={_escape(self.image)}"
        disk = f"virtio-blk-pci,drive=disk,bootindex=1,logical_block_size={self.sector_size}"
        serial = "mon:stdio" if self.interactive else "stdio"
        flash: tuple[str, ...] = ()
        if self.code:
            flash = (
                "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={_escape(self.code)}",
                "-drive", f"if=pflash,unit=1,format=raw,file={_escape(self.variables)}",
            )  # fmt: skip
        board = BOARDS[self.architecture]
        return (
            board.program, "-machine", f"{board.machines[self.firmware]},accel={self.accelerator}",
            *board.options,
            "-m", str(self.memory_mib), "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-serial", serial, *flash,
            "-drive", drive, "-device", f"{disk},physical_block_size={self.sector_size}",
        )  # fmt: skip


def unfinished(text: str) -> str:
    """Returns the escape sequence that the end of `text` cuts short, or ""."""
    found = _CUT_SHORT.search(text)
    return found[0] if found else ""


def plain(text: str) -> str:
    """Returns console output without escape sequences and carriage returns."""
    return _ESCAPE.sub("", text.replace("\r", ""))


CORRUPTION = r"device-mapper: verity: .*corrupt"
"""How a kernel says on its console that a block is not what was hashed (dm-verity-target.c). It
goes on all the same: only what reads the block fails."""

# What the last lines of a console say, and what that probably means.
_SYMPTOMS = (
    (CORRUPTION, "dm-verity read a block that is not what was hashed"),
    (r"Unable to mount root fs|VFS: Cannot open root device",
     "the kernel found no root: no initrd, or one without the driver of this disk"),
    (r"Gave up waiting for root|ALERT!.*does not exist|Waiting for root device",
     "the initrd did not find the root by its UUID: is root= right, is the disk's driver in it?"),
    (r"No init found|Run /\w+/init failed|Requested init .* failed|can't find init",
     "the root was mounted but has no init that runs"),
    (r"BdsDxe: No bootable option|UEFI Interactive Shell|Shell>",
     "the firmware found no loader on the ESP"),
    (r"No bootable device|Boot failed: not a bootable disk",
     "the firmware found no boot code on the disk"),
    (r"grub rescue>|error: (?:unknown filesystem|no such device|file .* not found)",
     "GRUB started but did not find its menu or a file the menu names"),
    (r"^grub>",
     "GRUB started but found no menu"),
    (r"Kernel panic",
     "the kernel panicked"),
    (r"Emergency mode|emergency\.target|You are in emergency mode",
     "systemd gave up and opened an emergency shell"),
)  # fmt: skip


def diagnose(console: str) -> str:
    """Returns what the end of a console log probably means."""
    for pattern, meaning in _SYMPTOMS:
        if re.search(pattern, console, re.MULTILINE):
            return meaning
    if "Linux version" in console or "Booting" in console:
        return "it was still booting; a longer timeout may help"
    if console.strip():
        return (
            "no kernel was seen on the serial console: is console=ttyS0, or for arm64 ttyAMA0, in "
            "boot.cmdline?"
        )
    return "nothing came over the serial console"


def _escape(path: str) -> str:
    # A comma ends an option's value for QEMU; doubled it is a comma.
    return path.replace(",", ",,")

"""QEMU's command line for starting an image with its console on the serial port."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.boot.firmware import Firmware

FirmwareKind = Literal["bios", "uefi"]
_QEMU = "qemu-system-x86_64"
_MACHINES: dict[FirmwareKind, str] = {"bios": "pc", "uefi": "q35"}
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[=>()][0-9A-Za-z]?)|[\x00-\x08\x0b-\x1f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A virtual machine that starts an image.

    Attributes:
        format: qemu-img's name of the image's format.
        memory_mib: Guest memory.
        accelerator: "kvm" or "tcg".
        firmware: UEFI firmware, with `variables` a private copy; None starts by BIOS.
        interactive: Serial port and monitor share the terminal (Ctrl-A X ends it).
    """

    image: Path
    format: str
    memory_mib: int
    accelerator: Literal["kvm", "tcg"]
    firmware: Firmware | None = None
    interactive: bool = False

    def argv(self) -> tuple[str, ...]:
        """Returns the command. The image is opened through a temporary overlay (`snapshot=on`)."""
        kind: FirmwareKind = "uefi" if self.firmware else "bios"
        drive = f"if=none,id=disk,snapshot=on,format={self.format},file={_escape(self.image)}"
        serial = "mon:stdio" if self.interactive else "stdio"
        flash: tuple[str, ...] = ()
        if self.firmware:
            code, variables = map(_escape, (self.firmware.code, self.firmware.variables))
            flash = (
                "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}",
                "-drive", f"if=pflash,unit=1,format=raw,file={variables}",
            )  # fmt: skip
        return (
            _QEMU, "-machine", f"{_MACHINES[kind]},accel={self.accelerator}",
            "-m", str(self.memory_mib), "-nodefaults", "-no-reboot", "-display", "none",
            "-serial", serial, *flash,
            "-drive", drive, "-device", "virtio-blk-pci,drive=disk,bootindex=1",
        )  # fmt: skip


def plain(text: str) -> str:
    """Returns console output without escape sequences and carriage returns."""
    return _ESCAPE.sub("", text.replace("\r", ""))


# What the last lines of a console say, and what that probably means.
_SYMPTOMS = (
    (r"Unable to mount root fs|VFS: Cannot open root device",
     "the kernel found no root: no initrd, or one without the driver of this disk"),
    (r"Gave up waiting for root|ALERT!.*does not exist|Waiting for root device",
     "the initrd did not find the root by its UUID: is root= right, is the disk's driver in it?"),
    (r"No init found|Run /\w+/init failed|Requested init .* failed|can't find init",
     "the root was mounted but holds no init that runs"),
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
        return "it was still starting; a longer timeout may do"
    if console.strip():
        return "something started but nothing of the kernel was seen: is console=ttyS0 in boot.cmdline?"
    return "nothing came over the serial console"


def _escape(path: Path) -> str:
    # A comma ends an option's value for QEMU; doubled it is a comma.
    return str(path.absolute()).replace(",", ",,")

"""Where an image is to go: a disk, a file or a new one; and what speaks against it."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.flash.machine import BlockDevice, Machine
from engine.flash.payload import Payload
from engine.problem import Problem, printable
from engine.units import human, in_bytes

Kind = Literal["device", "file", "new"]

_SYSTEM = ("/proc", "/sys")
_NOT_SEEKABLE = (
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """What will hold the image.

    Attributes:
        path: As it was given.
        real: Links resolved.
        kind: `file` keeps its size and what lies behind the image, as a disk does.
        bytes: Its size; 0 for a new file, which gets the image's.
        device: What the kernel says of a device, None for a file.
    """

    path: Path
    real: Path
    kind: Kind
    bytes: int
    device: BlockDevice | None = None

    @property
    def name(self) -> str:
        """What a person types to agree: the kernel's name, or that of the file."""
        return self.device.name if self.device is not None else self.path.name

    @property
    def title(self) -> str:
        """What it is, with model and size."""
        where = printable(str(self.path))
        if self.device is None:
            return where if self.kind == "new" else f"{where}, a file of {human(self.bytes)}"
        bus = {"usb": "USB", "mmc": "SD or MMC", "nvme": "NVMe"}.get(self.device.bus, "")
        parts = [printable(self.device.model), bus, human(self.bytes)]
        return f"{where} ({', '.join(part for part in parts if part)})"


def find_destination(path: Path, machine: Machine) -> tuple[Destination | None, list[Problem]]:
    """Returns what a path stands for, or why nothing can be written there."""
    real = Path(os.path.realpath(path))
    try:
        status = real.stat()
    except FileNotFoundError:
        return _new(path, real)
    except OSError as error:
        return None, [_problem("flash-destination", f"{path}: {error.strerror}")]
    mode = status.st_mode
    if stat.S_ISBLK(mode):
        device = machine.numbered(status.st_rdev)
        if device is None:
            message = f"{path} is a block device that the kernel says nothing about"
            return None, [_problem("flash-unknown", message, "check it with lsblk")]
        return Destination(
            path=path, real=real, kind="device", bytes=device.bytes, device=device
        ), []
    if not stat.S_ISREG(mode):
        what = next((name for test, name in _NOT_SEEKABLE if test(mode)), "no file")
        hint = "name a disk, as /dev/sdX, or a file" + (" in it" if stat.S_ISDIR(mode) else "")
        return None, [_problem("flash-not-a-disk", f"{path} is {what}, not a disk or file", hint)]
    if not status.st_size:
        return Destination(path=path, real=real, kind="new", bytes=0), []
    return Destination(path=path, real=real, kind="file", bytes=status.st_size), []


def _new(path: Path, real: Path) -> tuple[Destination | None, list[Problem]]:
    parents = {str(parent) for parent in (*real.parents, *path.absolute().parents)}
    if "/dev" in parents and "/dev/shm" not in parents:  # noqa: S108 - names it, uses it not
        message = f"there is no device {path}"
        return None, [_problem("flash-no-device", message, "`diskwright flash IMAGE` lists them")]
    if parents.intersection(_SYSTEM):
        message = f"{path} is in a file system of the kernel's"
        return None, [_problem("flash-not-a-disk", message, "name a disk or a file")]
    if not real.parent.is_dir():
        return None, [_problem("flash-destination", f"there is no folder {real.parent}")]
    if path.is_symlink():
        return None, [_problem("flash-destination", f"{path} is a link that leads nowhere")]
    return Destination(path=path, real=real, kind="new", bytes=0), []


def objections(
    payload: Payload, destination: Destination, machine: Machine, *, needed: int, writing: bool
) -> list[Problem]:
    """Returns what speaks against writing an image there, or comparing it; warnings, too.

    Args:
        payload: The image.
        destination: From `find_destination`.
        machine: Whose devices they are.
        needed: Bytes that the destination must have.
        writing: Whether it will be written to.
    """
    found = [*_is_itself(payload, destination), *_size(payload, destination, needed)]
    if writing:
        found += [*_in_use(destination, machine), *_rights(payload, destination)]
    found += [*_sectors(payload, destination), *_partition(payload, destination)]
    return found


def _is_itself(payload: Payload, destination: Destination) -> Iterator[Problem]:
    if destination.kind == "new" and not destination.real.exists():
        return
    image, there = payload.path.stat(), destination.real.stat()
    same_file = (image.st_dev, image.st_ino) == (there.st_dev, there.st_ino)
    same_disk = stat.S_ISBLK(image.st_mode) and image.st_rdev == there.st_rdev
    if same_file or same_disk:
        yield _problem("flash-itself", f"{destination.path} is the image itself")


def _size(payload: Payload, destination: Destination, needed: int) -> Iterator[Problem]:
    if destination.kind == "new" or destination.bytes >= needed:
        return
    if not destination.bytes:
        yield _problem("flash-no-medium", f"{destination.path} has no medium in it", "insert one")
        return
    yield _problem(
        "flash-too-small",
        f"{destination.path} has {in_bytes(destination.bytes)} ({human(destination.bytes)}), the "
        f"disk in {payload.path.name} {needed:,} ({human(needed)}): "
        f"{needed - destination.bytes:,} too few",
        "use a larger one, or build a smaller image",
    )


def _in_use(destination: Destination, machine: Machine) -> Iterator[Problem]:
    device = destination.device
    if device is None:
        yield from _backing(destination, machine)
        return
    uses = "; ".join(printable(use) for use in device.uses)
    if device.is_system:
        message = f"{destination.path} holds the system that is running: {uses}"
        yield _problem("flash-system-disk", message, "choose another disk")
    elif device.uses:
        message = f"{destination.path} is in use: {uses}"
        hint = "unmount it and close what is on it, if this is the right disk"
        yield _problem("flash-in-use", message, hint)


def _backing(destination: Destination, machine: Machine) -> Iterator[Problem]:
    """Yields which loop device shows a file as a disk."""
    for name in machine.loops(destination.real):
        message = f"{destination.path} is in use: {name} shows it as a disk"
        yield _problem("flash-in-use", message, f"losetup -d /dev/{name}")


def _rights(payload: Payload, destination: Destination) -> Iterator[Problem]:
    if destination.device is not None and destination.device.read_only:
        message = f"{destination.path} is read-only"
        yield _problem("flash-read-only", message, "look for a switch on it, or in its adapter")
        return
    place = destination.real if destination.real.exists() else destination.real.parent
    if not os.access(place, os.W_OK):
        what = "this disk" if destination.device is not None else str(place)
        hint = "choose another place"
        if destination.device is not None:
            hint = f"run it with sudo, or do it by hand: {by_hand(payload, destination)}"
        yield _problem("flash-rights", f"you may not write to {what}", hint)


def _sectors(payload: Payload, destination: Destination) -> Iterator[Problem]:
    device, table = destination.device, payload.table
    if device is None or table.kind == "none" or table.sector_size == device.sector_size:
        return
    yield _problem(
        "flash-sector-size",
        f"the table in {payload.path.name} counts sectors of {table.sector_size} bytes, "
        f"{destination.path} has sectors of {device.sector_size}: its partitions would not be "
        "found",
        f"build the image with layout.sector_size = {device.sector_size}",
    )


def _partition(payload: Payload, destination: Destination) -> Iterator[Problem]:
    device = destination.device
    if device is not None and device.parent and payload.table.kind != "none":
        yield Problem(
            "flash-partition", "warning", "",
            f"{destination.path} is a partition, and {payload.path.name} a whole disk with a table "
            "of its own: nothing boots from there",
            f"/dev/{device.parent} is the disk",
        )  # fmt: skip


def by_hand(payload: Payload, destination: Destination) -> str:
    """Returns the command that does the same without this program, for a shell."""
    image, to = shlex.quote(str(payload.path)), shlex.quote(str(destination.path))
    sudo = "sudo " if destination.device is not None else ""
    dd = f"{sudo}dd of={to} bs=4M conv=fsync status=progress"
    if destination.kind == "file":
        dd = f"{sudo}dd of={to} bs=4M conv=fsync,notrunc status=progress"
    if payload.packed:
        unpack = {"gzip": "gzip", "zstd": "zstd", "xz": "xz", "bzip2": "bzip2"}
        return f"{unpack.get(payload.format, 'xz')} -dc {image} | {dd} iflag=fullblock"
    if payload.format != "raw":
        there = "" if destination.kind == "new" else "-n "
        return f"{sudo}qemu-img convert -p -f {payload.format} {there}-O raw {image} {to}"
    if destination.device is not None and Path(f"{payload.path}.bmap").is_file():
        return f"{sudo}bmaptool copy {image} {to}"
    return dd.replace("dd of=", f"dd if={image} of=")


def _problem(code: str, message: str, hint: str = "") -> Problem:
    return Problem(code, "error", "", message, hint)

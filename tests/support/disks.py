"""Disks with a table and a little data, and machines whose kernel tells what a test wants."""

from __future__ import annotations

import os
import random
from pathlib import Path

from engine.flash.machine import Machine
from engine.tools.environment import set_variables
from engine.tools.influences import LIBPARTED
from engine.units import MIB
from tests.support.tools import run_tool

with set_variables(LIBPARTED):
    import parted

GPT = """label: gpt
label-id: 97FD5997-D90B-4AA3-8D16-0C1723AEA73C
start=2048, size=8192, type=U
start=10240, type=L
"""


def gpt_disk(path: Path, size: int = 16 * MIB, script: str = GPT) -> Path:
    """Makes a disk with a table, some data and holes; sectors of 512 bytes."""
    with path.open("wb") as file:
        file.truncate(size)
    run_tool(["sfdisk", "-q", path], input=script, text=True, check=True)
    noise = random.Random(7)
    with path.open("r+b") as file:
        for at in (MIB, 5 * MIB + 4096, size - MIB - 3 * 4096):
            file.seek(at)
            file.write(noise.randbytes(3 * 4096))
    return path


def disk_of_4096(
    path: Path, size: int = 16 * MIB, label: str = "gpt", *, logical: bool = False
) -> Path:
    """Makes a disk with a table of sectors of 4096 bytes and two partitions.

    With `logical` the second is an extended one with a logical one in it.
    """
    with path.open("wb") as file:
        file.truncate(size)
    with set_variables({**LIBPARTED, "PARTED_SECTOR_SIZE": "4096"}):
        device = parted.getDevice(str(path))
    try:
        disk = parted.freshDisk(device, label)
        last = size // 4096 - 257
        _add(disk, device, parted.PARTITION_NORMAL, 256, 1279)
        if logical:
            _add(disk, device, parted.PARTITION_EXTENDED, 1280, last)
            _add(disk, device, parted.PARTITION_LOGICAL, 1536, last)
        else:
            _add(disk, device, parted.PARTITION_NORMAL, 1280, last)
        disk.commitToDevice()
    finally:
        device.removeFromCache()
    return path


def _add(disk: parted.Disk, device: parted.Device, kind: int, first: int, last: int) -> None:
    geometry = parted.Geometry(device=device, start=first, length=last - first + 1)
    exact = parted.Constraint(exactGeom=geometry)
    disk.addPartition(parted.Partition(disk=disk, type=kind, geometry=geometry), constraint=exact)


class FakeMachine:
    """The files of a kernel, in a folder, with the devices that a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder / "sys", folder / "proc", folder / "dev")
        self._mounts: list[str] = []
        self._swaps: list[str] = []
        (folder / "sys/class/block").mkdir(parents=True)
        (folder / "proc/self").mkdir(parents=True)
        (folder / "dev").mkdir()
        self._write()

    def disk(
        self, name: str, number: str, *, size: int = 64 * MIB, bus: str = "usb", model: str = "",
        vendor: str = "", removable: bool = False, read_only: bool = False, sector: int = 512,
    ) -> None:  # fmt: skip
        """Adds a disk."""
        hangs = {
            "usb": "pci0000:00/0000:00:14.0/usb1/1-2/1-2:1.0/host6/target6:0:0/6:0:0:0",
            "mmc": "pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:aaaa",
            "ata": "pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0",
            "nvme": "pci0000:00/0000:00:1d.0/nvme/nvme0",
            "virtual": "virtual",
        }
        place = self.machine.sys / "devices" / hangs[bus] / "block" / name
        (place / "queue").mkdir(parents=True)
        (place / "device").mkdir()
        (place / "holders").mkdir()
        self._files(
            place, number, size, ro=str(int(read_only)), removable=str(int(removable)),
        )  # fmt: skip
        (place / "queue/logical_block_size").write_text(f"{sector}\n")
        (place / "device/model").write_text(f"{model:<16}\n")
        if vendor:
            (place / "device/vendor").write_text(f"{vendor:<8}\n")
        self._link(place, name)

    def partition(self, disk: str, name: str, number: str, *, size: int = 8 * MIB) -> None:
        """Adds a partition of a disk."""
        place = (self.machine.sys / "class/block" / disk).resolve() / name
        (place / "holders").mkdir(parents=True)
        self._files(place, number, size, ro="0", partition="1")
        self._link(place, name)

    def made_of(self, name: str, number: str, *, below: str, title: str) -> None:
        """Adds a device-mapper volume on another device."""
        place = self.machine.sys / "devices/virtual/block" / name
        for part in ("queue", "holders", "dm"):
            (place / part).mkdir(parents=True)
        self._files(place, number, MIB, ro="0")
        (place / "dm/name").write_text(f"{title}\n")
        self._link(place, name)
        (self.machine.sys / "class/block" / below / "holders" / name).symlink_to(place)

    def mount(self, number: str, where: str, source: str = "none", kind: str = "ext4") -> None:
        """Mounts something."""
        where = where.replace(" ", "\\040")
        self._mounts.append(f"30 1 {number} / {where} rw,relatime shared:1 - {kind} {source} rw")
        self._write()

    def swap(self, path: str) -> None:
        """Uses something as swap."""
        self._swaps.append(f"{path} partition 1048572 0 -2")
        self._write()

    def loop(self, name: str, number: str, backing: Path) -> None:
        """Shows a file as a disk."""
        self.disk(name, number, bus="virtual")
        place = (self.machine.sys / "class/block" / name).resolve()
        (place / "loop").mkdir()
        (place / "loop/backing_file").write_text(f"{backing}\n")

    def _write(self) -> None:
        proc = self.machine.proc
        (proc / "self/mountinfo").write_text("".join(f"{line}\n" for line in self._mounts))
        head = "Filename Type Size Used Priority"
        (proc / "swaps").write_text("".join(f"{line}\n" for line in [head, *self._swaps]))

    def _files(self, place: Path, number: str, size: int, **more: str) -> None:
        for name, text in {"dev": number, "size": str(size // 512), **more}.items():
            (place / name).write_text(f"{text}\n")

    def _link(self, place: Path, name: str) -> None:
        link = self.machine.sys / "class/block" / name
        link.symlink_to(os.path.relpath(place, link.parent))

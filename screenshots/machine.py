"""A machine with two sticks, a card and a disk, as the kernel would tell of it."""

from __future__ import annotations

from pathlib import Path

from engine.flash.machine import Machine
from engine.units import GIB

_USB = "devices/pci0000:00/0000:00:14.0/usb1"
_DISKS = {
    "nvme0n1": ("devices/pci0000:00/0000:00:1d.0/nvme/nvme0", "259:0", 476, 0, "Samsung SSD 980"),
    "sda": (f"{_USB}/1-2/host6/target6:0:0/6:0:0:0", "8:0", 29, 1, "SanDisk Ultra Fit"),
    "sdb": (f"{_USB}/1-3/host7/target7:0:0/7:0:0:0", "8:16", 7, 1, "Kingston DataTraveler 2.0"),
    "mmcblk0": ("devices/pci0000:00/0000:00:1a.0/mmc_host/mmc0/mmc0:aaaa", "179:0", 59, 0, "SD64G"),
    "sdc": ("devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0", "8:32", 1863, 0,
            "WDC WD20EZBX-00A"),
}  # fmt: skip
_MOUNTS = """\
22 1 259:0 / / rw,relatime shared:1 - ext4 /dev/nvme0n1 rw
31 22 8:16 / /media/me/PHOTOS rw,nosuid - vfat /dev/sdb rw
"""


def make_machine(folder: Path) -> Machine:
    """Writes the kernel's files and empty device files below a folder, once."""
    machine = Machine(folder / "sys", folder / "proc", folder / "dev")
    if folder.exists():
        return machine
    links = machine.sys / "class/block"
    for path in (links, machine.proc / "self", machine.dev):
        path.mkdir(parents=True)
    for name, (place, number, size, removable, model) in _DISKS.items():
        device = machine.sys / place / "block" / name
        (device / "queue").mkdir(parents=True)
        (device / "device").mkdir()
        files = {
            "dev": number, "size": size * GIB // 512, "ro": 0, "removable": removable,
            "queue/logical_block_size": 512, "device/model": model,
        }  # fmt: skip
        for file, text in files.items():
            (device / file).write_text(f"{text}\n")
        (links / name).symlink_to(device)
        (machine.dev / name).touch()
    (machine.proc / "self/mountinfo").write_text(_MOUNTS)
    (machine.proc / "swaps").write_text("Filename Type Size Used Priority\n")
    return machine

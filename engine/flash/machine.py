"""The block devices of this machine, as the kernel tells of them, and what each is used for.

Sources: the kernel's Documentation/ABI (sysfs-block, sysfs-class-block), proc_pid_mountinfo(5),
proc_swaps(5). Nothing is opened but these text files, so no right is needed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_SECTOR = 512
"""Bytes that sysfs counts sizes in, whatever the device's own sectors are."""
_OWN = frozenset({"/", "/usr", "/boot", "/boot/efi", "/efi", "/nix", "/nix/store", "/var"})
"""Where a running system has what it cannot do without."""
_BUSES = ("usb", "mmc", "nvme", "virtio", "ata", "virtual")
_BUS = re.compile(r"/(usb|mmc|nvme|virtio|ata|virtual)(?=[0-9/_-]|$)")
_ESCAPED = re.compile(r"\\([0-7]{3})")
_NO_DISKS = re.compile(r"(zram|ram|loop|dm-|md|sr|fd)[0-9]+|mmcblk[0-9]+(boot[0-9]+|rpmb)")
"""What is never offered: memory, files, what is made of other disks, what boots an eMMC's board."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockDevice:
    """A disk or a partition of one.

    Attributes:
        name: The kernel's ("sdb", "nvme0n1p2").
        path: Where it is opened.
        number: Major and minor ("8:16").
        bytes: Its size; 0 for a drive without a medium.
        sector_size: Bytes of its logical sectors.
        model: As maker and drive call it, or "".
        bus: What it hangs on: usb, mmc, nvme, virtio, ata, virtual, or "".
        parent: Name of the disk that it is a partition of, "" for a disk.
        zeroes: Whether it writes zeros by itself (queue/write_zeroes_max_bytes).
        uses: What it, or anything on it, is used for now, a sentence each.
        is_system: Whether the running system lies on it.
    """

    name: str
    path: Path
    number: str
    bytes: int
    sector_size: int
    model: str
    bus: str
    removable: bool
    read_only: bool
    parent: str
    zeroes: bool
    uses: tuple[str, ...]
    is_system: bool

    @property
    def likely(self) -> bool:
        """Whether it is of the kind that people write images to."""
        return self.removable or self.bus in {"usb", "mmc"}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the kernel tells of the machine; elsewhere in tests."""

    sys: Path = Path("/sys")
    proc: Path = Path("/proc")
    dev: Path = Path("/dev")

    def named(self, name: str) -> BlockDevice | None:
        """Returns a device by the kernel's name."""
        return self._device(name, self._used()) if (self._class / name).exists() else None

    def numbered(self, number: int) -> BlockDevice | None:
        """Returns a device by its number, as st_rdev has it."""
        wanted = f"{os.major(number)}:{os.minor(number)}"
        return next((self.named(n) for n in self._names() if self._number(n) == wanted), None)

    def disks(self) -> list[BlockDevice]:
        """Returns the disks that an image could go to, the likeliest first.

        Neither the system's own nor those without a medium, nor what is made of other disks.
        """
        used = self._used()
        found = [
            self._device(name, used)
            for name in self._names()
            if not _NO_DISKS.fullmatch(name) and not self._is_partition(name)
        ]
        offered = [one for one in found if one.bytes and not one.is_system and not one.read_only]
        return sorted(offered, key=lambda one: (not one.likely, one.bus == "virtual", one.name))

    def loops(self, file: Path) -> list[str]:
        """Returns the loop devices that show a file as a disk."""
        backed = ((name, _text(self._class / name / "loop/backing_file")) for name in self._names())
        return [name for name, backing in backed if backing == str(file)]

    @property
    def _class(self) -> Path:
        return self.sys / "class/block"

    def _names(self) -> list[str]:
        return _listed(self._class)

    def _device(self, name: str, used: list[tuple[str, str]]) -> BlockDevice:
        place = self._class / name
        real = place.resolve()
        parent = real.parent.name if self._is_partition(name) else ""
        disk = real.parent if parent else real
        bus = _BUS.findall(str(real))
        above = self._above(name)
        uses = [(at, what) for at, what in used if at in above]
        return BlockDevice(
            name=name,
            path=self.dev / name.replace("!", "/"),
            number=self._number(name),
            bytes=_figure(place / "size") * _SECTOR,
            sector_size=_figure(disk / "queue/logical_block_size") or _SECTOR,
            model=_model(disk),
            bus=max(bus, key=lambda found: -_BUSES.index(found)) if bus else "",
            removable=bool(_figure(disk / "removable")),
            read_only=bool(_figure(place / "ro")),
            parent=parent,
            zeroes=_figure(disk / "queue/write_zeroes_max_bytes") > 0,
            uses=tuple(dict.fromkeys([*_told(uses), *self._held(above)])),
            is_system=any(what in _OWN for _, what in uses),
        )  # fmt: skip

    def _held(self, above: set[str]) -> Iterator[str]:
        """Yields what is made of a device or its partitions: LVM, RAID, encrypted volumes."""
        for one in sorted(above):
            for holder in _listed(self._class / one / "holders"):
                title = _text(self._class / holder / "dm/name")
                yield f"{one} is part of {holder}" + (f" ({title})" if title else "")

    def _is_partition(self, name: str) -> bool:
        return (self._class / name / "partition").exists()

    def _number(self, name: str) -> str:
        return _text(self._class / name / "dev")

    def _above(self, name: str) -> set[str]:
        """Returns a device, its partitions, and all that is made of these."""
        found: set[str] = set()
        pending = [name]
        while pending:
            one = pending.pop()
            if one in found:
                continue
            found.add(one)
            place = self._class / one
            pending += _listed(place / "holders")
            pending += [part for part in _listed(place) if (place / part / "partition").exists()]
        return found

    def _used(self) -> list[tuple[str, str]]:
        """Returns what devices are used for: name, and mount point or "swap"."""
        by_number = {self._number(name): name for name in self._names()}
        found = []
        for line in _text(self.proc / "self/mountinfo").splitlines():
            fields, _, rest = line.partition(" - ")
            words, ends = fields.split(), rest.split()
            if len(words) < 5:
                continue
            where = _unescaped(words[4])
            names = {by_number.get(words[2], "")}
            # btrfs and others have numbers of their own there, and name one device as their source.
            if len(ends) > 1 and ends[1].startswith("/"):
                names.add(self._name_of(_unescaped(ends[1])))
            found += [(name, where) for name in names if name in by_number.values()]
        for line in _text(self.proc / "swaps").splitlines()[1:]:
            found.append((self._name_of(_unescaped(line.split()[0])), "swap"))
        for name in by_number.values():
            backing = _text(self._class / name / "loop/backing_file")
            found += [(self._name_of(backing), f"the backing of {name}")] if backing else []
        return found

    def _name_of(self, path: str) -> str:
        """Returns the kernel's name of a device that is given by any of its paths."""
        if self.dev == Path("/dev"):
            path = os.path.realpath(path)
        return path.removeprefix("/dev/").replace("/", "!")


def _told(uses: list[tuple[str, str]]) -> Iterator[str]:
    for name, what in uses:
        if what == "swap":
            yield f"{name} is used as swap"
        elif what.startswith("/"):
            yield f"{name} is mounted at {what}"
        else:
            yield f"{name} is {what}"


def _model(disk: Path) -> str:
    parts = [_text(disk / "device" / key) for key in ("vendor", "model")]
    words = " ".join(part for part in parts if part and not part.startswith("0x"))
    return words or _text(disk / "device/name")


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    """Returns what a file of the kernel's says, "" where there is none."""
    try:
        return path.read_bytes().decode("utf-8", "backslashreplace").strip()
    except OSError:
        return ""


def _figure(path: Path) -> int:
    text = _text(path)
    return int(text) if text.isdecimal() else 0


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)

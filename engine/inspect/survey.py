"""What an image holds beyond tables and file systems: systems, kernels, and what would boot."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from engine.disk.roles import role_of
from engine.image.container import BadImage
from engine.image.reading import Node
from engine.inspect.booting.bios import bios_boot
from engine.inspect.booting.boot import Boot, Firmware, not_started
from engine.inspect.booting.entry import BootEntry
from engine.inspect.booting.extlinux import extlinux_menus
from engine.inspect.booting.grub import grub_menus
from engine.inspect.booting.root import absent_roots
from engine.inspect.booting.systemd import in_order
from engine.inspect.booting.type1 import Listed, type1_entries
from engine.inspect.booting.uefi import FOLDER, LoaderFiles, uefi_boot
from engine.inspect.booting.uki import unified_kernels
from engine.inspect.files import Files, OnFinding
from engine.inspect.image import Image
from engine.inspect.loaders import Loader, find_loaders
from engine.inspect.system import Kernel, System, kernels, systems
from engine.spec.filesystems import FILESYSTEMS

T = TypeVar("T")

_MOST = 1 << 33
"""What reading may cost: enough for hundreds of kernels on an ESP, and half a minute at most."""
_UKIS = b"EFI/Linux"
_ENTRIES = (b"loader/entries", b"boot/loader/entries")


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found, all of it by reading alone.

    Attributes:
        entries: What loaders offer, each menu in its own order.
        defaults: Those of them that are defaults.
        boots: What each firmware would boot.
    """

    loaders: tuple[Loader, ...]
    systems: tuple[System, ...]
    kernels: tuple[Kernel, ...]
    entries: tuple[BootEntry, ...]
    defaults: frozenset[BootEntry]
    boots: dict[Firmware, Boot]


def survey(image: Image, say: OnFinding) -> Survey:
    """Looks for systems, kernels, loaders and their entries, up to a bound on what is read.

    Args:
        image: The image.
        say: Told what is wrong with it.
    """
    with image.disk.at_most(_MOST):
        return _survey(image, say)


def _survey(image: Image, say: OnFinding) -> Survey:
    everywhere = [
        Files(part, part.filesystem, say) for part in image.parts if part.filesystem is not None
    ]
    loaders = find_loaders(image, say)
    esps = _esps(everywhere)
    for_systemd: list[Listed] = []
    others: list[Listed] = []
    for files in everywhere:
        reads = files in esps or _is(files, "xbootldr")
        (for_systemd if reads else others).extend(_gathered(files, _listed))
    menus = grub_menus(everywhere)
    extlinux = [menu for files in everywhere for menu in _gathered(files, extlinux_menus)]
    found = LoaderFiles(everywhere, {each.where: each for each in loaders}, for_systemd, menus)
    boots: dict[Firmware, Boot] = {
        "bios": _told(lambda: bios_boot(image, menus)),
        "uefi": _told(lambda: uefi_boot(esps, found) if esps else not_started(_no_esp(image))),
    }
    removable = (each for files in esps for each in _gathered(files, _removable))
    offering = [*(each.menu for each in menus), *extlinux]
    offered = (
        *(each.entry for each in (*in_order(for_systemd), *others, *removable)),
        *(entry for menu in offering for entry in menu.entries),
        *(boot.entry for boot in boots.values() if boot.entry is not None),
    )
    entries = tuple(dict.fromkeys(offered))
    for sentence in absent_roots(image, entries):
        say(sentence)
    defaults = (*(boot.entry for boot in boots.values()), *(menu.default for menu in offering))
    return Survey(
        loaders=loaders,
        systems=tuple(each for files in everywhere for each in _gathered(files, systems)),
        kernels=tuple(kernels(everywhere, entries)),
        entries=entries,
        defaults=frozenset(entry for entry in defaults if entry is not None),
        boots=boots,
    )


def _gathered(files: Files, read: Callable[[Files], Iterator[T]]) -> list[T]:
    """Returns what a reader yields up to the first damage, which is a finding."""
    found: list[T] = []
    with files.tolerant():
        found.extend(read(files))
    return found


def _listed(files: Files) -> Iterator[Listed]:
    for folder in _ENTRIES:
        yield from type1_entries(files, folder)
    yield from unified_kernels(files, _UKIS)


def _removable(files: Files) -> Iterator[Listed]:
    return unified_kernels(files, FOLDER)


def _told(boot: Callable[[], Boot]) -> Boot:
    try:
        return boot()
    except (BadImage, struct.error) as error:
        return Boot("unknown", notes=(str(error),))


def _esps(everywhere: list[Files]) -> list[Files]:
    """Returns where firmware looks for programs: where no part is marked for it, in any FAT."""
    marked = [files for files in everywhere if _is(files, "esp")]
    return marked or [
        files
        for files in everywhere
        if FILESYSTEMS[files.filesystem.type].firmware and any(_gathered(files, _programs))
    ]


def _programs(files: Files) -> Iterator[Node]:
    return files.listed(FOLDER)


def _is(files: Files, role: str) -> bool:
    """Whether a part has a role for firmware, and a file system that it reads."""
    partition = files.part.partition
    known = partition is None or role_of(partition.type) == role
    return known and FILESYSTEMS[files.filesystem.type].firmware


def _no_esp(image: Image) -> str:
    for part in image.parts:
        if part.partition is not None and role_of(part.partition.type) == "esp":
            return f"the EFI system partition, {part.name}, has no readable FAT file system"
    return "there is no EFI system partition"

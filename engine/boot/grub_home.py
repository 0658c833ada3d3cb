"""Where GRUB has its menu, and by which names it reaches what the menu starts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.boot import grub
from engine.boot.firmware import find_grub
from engine.boot.menu import MenuEntry
from engine.disk.volume import Volume
from engine.manifest.entry import Entry
from engine.manifest.lookup import resolve
from engine.manifest.mounted import Mounted, Place
from engine.problem import Fix, Problem
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.settings import Settings


@dataclass(frozen=True, slots=True)
class GrubHome:
    """Where GRUB has its menu.

    Attributes:
        config: The place of grub.cfg.
        prefix: Its folder as core.img names it.
        modules: What core.img needs to read the volumes, besides what it always has.
    """

    settings: Settings
    tree: Mounted
    config: Place
    prefix: str
    modules: tuple[str, ...]

    def file(self, entry: Entry) -> grub.GrubFile:
        """Returns how the menu names a file of the tree."""
        where = self.tree.place(entry.path)
        own = where.volume == self.config.volume
        volume = _volume(self.settings, where.volume)
        path = "/" + volume.arrangement.inside(where.path).decode("utf-8", "surrogateescape")
        return grub.GrubFile("" if own else volume.uuid, path)


def find(settings: Settings, tree: Mounted, menu: Sequence[MenuEntry]) -> GrubHome:
    """Returns where GRUB has its menu: below /boot, on whichever volume that is.

    Raises:
        LeadsNowhere: /boot/grub is not a directory, nor can it be made.
    """
    config = tree.place(resolve(tree.get, grub.CONFIG_PATH, may_miss=True))
    partition = grub.partition_name(settings.scheme, settings.number(config.volume))
    inside = _volume(settings, config.volume).arrangement.inside(config.path)
    folder = inside.rpartition(b"/")[0].decode("utf-8", "surrogateescape")
    formats = (volume.format for volume in _volumes(settings, tree, config, menu))
    modules = (FILESYSTEMS[each].grub for each in formats)
    more = dict.fromkeys(each for each in modules if each and each not in grub.COMMON_MODULES)
    return GrubHome(settings, tree, config, f"(,{partition})/{folder}", tuple(more))


def unreadable(home: GrubHome, menu: Sequence[MenuEntry], targets: Sequence[str]) -> Problem | None:
    """Returns what GRUB would have to read and cannot.

    Args:
        home: Where the menu is.
        menu: What it starts.
        targets: GRUB's targets that are built ("i386-pc").
    """
    for volume in _volumes(home.settings, home.tree, home.config, menu):
        module = FILESYSTEMS[volume.format].grub
        for target in targets:
            if module and (find_grub(target) is None or find_grub(target, f"{module}.mod")):
                continue
            why = f"this machine has no {module}.mod for {target}" if module else ""
            return _unreadable(home.settings, volume, why or "it cannot")
    return None


def _volumes(
    settings: Settings, tree: Mounted, config: Place, menu: Sequence[MenuEntry]
) -> Iterator[Volume]:
    """Yields the volumes that GRUB reads, each once."""
    files = (file for entry in menu for file in (entry.kernel, *entry.initrds))
    places = (config, *(tree.place(file.path) for file in files))
    for name in dict.fromkeys(place.volume for place in places):
        yield _volume(settings, name)


def _volume(settings: Settings, name: str) -> Volume:
    return next(volume for volume in settings.volumes if volume.id == name)


def _unreadable(settings: Settings, volume: Volume, why: str) -> Problem:
    title = FILESYSTEMS[volume.format].title
    message = f"GRUB has to read {title} on the volume {volume.id}, and {why}"
    if "bios" in settings.boots:
        fix = Fix(f"Make {volume.id} ext4", ((f"{volume.path}.format", "ext4"),))
        return Problem(
            "grub-cannot-read", "error", f"{volume.path}.format", message,
            "take ext4, or keep kernels and initrds on a volume of their own, mounted at /boot",
            fix if volume.path else None,
        )  # fmt: skip
    return Problem(
        "grub-cannot-read", "error", "boot.loader", message,
        "systemd-boot has copies of the kernels on the ESP",
        Fix("Take systemd-boot", (("boot.loader", "systemd-boot"),)),
    )  # fmt: skip

"""Where GRUB has its menu, and by which names it reaches what the menu starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.boot import grub
from engine.boot.firmware import find_grub
from engine.boot.menu import MenuEntry, distinct, slug
from engine.boot.tree import data
from engine.disk.volume import Volume
from engine.manifest.entry import Entry
from engine.manifest.lookup import resolve
from engine.manifest.memory import copy_of
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
        copies: Kernels and initrds that lie where GRUB cannot read, by their path in the tree: the
            path that a copy has on the volume of the menu.
    """

    settings: Settings
    tree: Mounted
    config: Place
    prefix: str
    modules: tuple[str, ...]
    copies: Mapping[bytes, tuple[bytes, Entry]]

    def file(self, entry: Entry) -> grub.GrubFile:
        """Returns how the menu names a file of the tree."""
        if entry.path in self.copies:
            copy, _ = self.copies[entry.path]
            inside = _volume(self.settings, self.config.volume).arrangement.inside(copy)
            return grub.GrubFile("", "/" + inside.decode("utf-8", "surrogateescape"))
        where = self.tree.place(entry.path)
        own = where.volume == self.config.volume
        volume = _volume(self.settings, where.volume)
        path = "/" + volume.arrangement.inside(where.path).decode("utf-8", "surrogateescape")
        return grub.GrubFile("" if own else volume.uuid, path)

    def files(self) -> tuple[Entry, ...]:
        """Returns the copies, as files of the volume of the menu."""
        return tuple(copy_of(path, data(entry)) for path, entry in self.copies.values())


def find(
    settings: Settings, tree: Mounted, menu: Sequence[MenuEntry], targets: Sequence[str]
) -> GrubHome:
    """Returns where GRUB has its menu: below /boot, on whichever volume that is.

    Where it can read that volume, it finds there copies of what it could not read elsewhere.

    Args:
        settings: The spec, resolved.
        tree: The contents, as mounted.
        menu: What GRUB starts.
        targets: Its targets that are built ("i386-pc").

    Raises:
        LeadsNowhere: /boot/grub is not a directory, nor can it be made.
    """
    config = tree.place(resolve(tree.get, grub.CONFIG_PATH, may_miss=True))
    partition = grub.partition_name(settings.scheme, settings.number(config.volume))
    inside = _volume(settings, config.volume).arrangement.inside(config.path)
    folder = inside.rpartition(b"/")[0].decode("utf-8", "surrogateescape")
    there = list(_volumes(settings, tree, config, menu))
    hidden = {volume.id for volume in there if _why_not(volume, targets)}
    copies = {} if config.volume in hidden else _copies(tree, config, menu, hidden)
    formats = (volume.format for volume in there if volume.id not in hidden or not copies)
    modules = (FILESYSTEMS[each].grub for each in formats)
    more = dict.fromkeys(each for each in modules if each and each not in grub.COMMON_MODULES)
    return GrubHome(settings, tree, config, f"(,{partition})/{folder}", tuple(more), copies)


def _copies(
    tree: Mounted, config: Place, menu: Sequence[MenuEntry], hidden: set[str]
) -> dict[bytes, tuple[bytes, Entry]]:
    """Names copies of what lies on volumes that GRUB cannot read, as distributions name kernels."""
    folder = config.path.removesuffix(grub.CONFIG_PATH.removeprefix(b"boot/"))
    wanted: dict[bytes, tuple[str, Entry]] = {}
    for entry in menu:
        version = slug(entry.version or entry.release)
        names = [f"vmlinuz-{version}", *(f"initrd-{version}.img" for _ in entry.initrds)]
        for name, file in zip(names, (entry.kernel, *entry.initrds), strict=True):
            if tree.place(file.path).volume in hidden:
                wanted.setdefault(file.path, (name, file))
    there = [one.name.decode("utf-8", "replace") for one in tree.within(b"boot")]
    names = distinct([*there, *(name for name, _ in wanted.values())])[len(there) :]
    return {
        path: (folder + name.encode(), file)
        for (path, (_, file)), name in zip(wanted.items(), names, strict=True)
    }


def unreadable(home: GrubHome, menu: Sequence[MenuEntry], targets: Sequence[str]) -> Problem | None:
    """Returns what GRUB would have to read and cannot, where there is no copy of it.

    Args:
        home: Where the menu is.
        menu: What it starts.
        targets: GRUB's targets that are built ("i386-pc").
    """
    for volume in _volumes(home.settings, home.tree, home.config, menu):
        why = "" if home.copies else _why_not(volume, targets)
        if why:
            return _unreadable(home.settings, volume, why)
    return None


def _why_not(volume: Volume, targets: Sequence[str]) -> str:
    """Returns why GRUB cannot read a volume, or ""."""
    module = FILESYSTEMS[volume.format].grub
    for target in targets:
        if module and (find_grub(target) is None or find_grub(target, f"{module}.mod")):
            continue
        return f"this machine has no {module}.mod for {target}" if module else "it cannot"
    return ""


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
            "take ext4, or mount a volume at /boot: it has the menu, and copies of the kernels",
            fix if volume.path else None,
        )  # fmt: skip
    return Problem(
        "grub-cannot-read", "error", "boot.loader", message,
        "systemd-boot has copies of the kernels on the ESP",
        Fix("Take systemd-boot", (("boot.loader", "systemd-boot"),)),
    )  # fmt: skip

"""GRUB's menus in an image: where they are, and which files their entries name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from engine.boot.versions import age
from engine.inspect.booting.entry import BootEntry, Menu, missing, obstacle
from engine.inspect.booting.grubcfg import GrubConfig, GrubEntry, GrubPath, parse
from engine.inspect.booting.type1 import Listed, type1_entries
from engine.inspect.files import Files, absolute

# Where GRUB's installers put it: in the root file system, in one for /boot, on an ESP.
MENUS = (
    b"boot/grub/grub.cfg", b"boot/grub2/grub.cfg", b"grub/grub.cfg", b"grub2/grub.cfg",
)  # fmt: skip
_VENDORS = b"EFI"
_MAX_VENDORS = 64
_MAX_MENU = 1 << 18
_MAX_STEPS = 4
_MAX_NAMED = 8
_NUMBER = re.compile(r"(?:hd\d+)?,(?:gpt|msdos)?(\d{1,4})")
_ENVIRONMENT = "grubenv"


@dataclass(frozen=True, slots=True)
class GrubMenu:
    """A grub.cfg's menu.

    Attributes:
        where: The partition and path of the file.
        on_esp: Whether it is where only GRUB for UEFI looks.
    """

    where: str
    on_esp: bool
    menu: Menu


def grub_menus(everywhere: Sequence[Files]) -> list[GrubMenu]:
    """Returns the menus of an image; a file that only leads to another has that one's."""
    found = []
    for files in everywhere:
        with files.tolerant():
            folders = islice(files.listed(_VENDORS), _MAX_VENDORS)
            vendors = [node.path + b"/grub.cfg" for node in folders]
            for path in (*vendors, *MENUS):
                menu = menu_at(everywhere, files, path, on_esp=path in vendors)
                found += [menu] if menu is not None else []
    return found


def menu_at(
    everywhere: Sequence[Files], files: Files, path: bytes | str, *, on_esp: bool = True
) -> GrubMenu | None:
    """Returns the menu of the grub.cfg at a path, or None where none is.

    Raises:
        BadImage: A file system is damaged.
    """
    node = files.regular(path)
    if node is None:
        return None
    return GrubMenu(files.where(node.path), on_esp, _menu(everywhere, files, node.path))


def _menu(everywhere: Sequence[Files], files: Files, path: bytes) -> Menu:
    files, path, config, notes = _followed(everywhere, files, path)
    where = files.where(path)
    if config.computed:
        names = ", ".join(config.computed[:_MAX_NAMED])
        notes.append(f"{where} computes what only running it would show: {names}")
    entries = {
        item.place: _entry(everywhere, files, where, item)
        for item in config.items
        if not item.submenu
    }
    default = entries[config.default.place] if config.default is not None else None
    snippets: list[Listed] = []
    if config.snippets is not None:
        snippets = _snippets(everywhere, files, config.snippets)
        named = (each for each in snippets if config.chosen.lower() in _names(each))
        first = next(named, next(iter(snippets), None))
        default = first.entry if first is not None else default
    if default is not None:
        why_not = obstacle(default)
    else:
        why_not = "" if config.computed else f"{where} has no default entry"
    menu = (*(each.entry for each in snippets), *entries.values())
    return Menu(menu, default, tuple(notes), why_not)


def _followed(
    everywhere: Sequence[Files], files: Files, path: bytes
) -> tuple[Files, bytes, GrubConfig, list[str]]:
    """Returns the first script with a menu on the way that scripts lead, and notes of the way."""
    config = GrubConfig((), None)
    notes: list[str] = []
    for _ in range(_MAX_STEPS):
        config = parse(files.text(path, _MAX_MENU) or "", _environment(files, path))
        others = [
            (home, absolute(other.path))
            for other in config.others
            if (home := home_of(everywhere, files, other)) is not None and home.has(other.path)
        ]
        if config.items or config.snippets or not others:
            notes += [f"commands of {home.where(other)} are not read" for home, other in others]
            break
        files, path = others[0][0], others[0][1].encode("utf-8", "surrogateescape")
        notes.append(f"leads to {files.where(path)}")
    return files, path, config, notes


def _snippets(everywhere: Sequence[Files], own: Files, folder: GrubPath) -> list[Listed]:
    """Returns the entries that `blscfg` adds, the newest name first."""
    home = home_of(everywhere, own, folder)
    if home is None:
        return []
    found = list(type1_entries(home, folder.path.encode("utf-8", "surrogateescape")))
    return sorted(found, key=lambda each: age(each.identifier), reverse=True)


def _names(listed: Listed) -> tuple[str, str]:
    """Returns what `default` may name an entry by: its file, without the ending, or its title."""
    return listed.identifier.removesuffix(".conf"), listed.entry.title.lower()


def _environment(files: Files, path: bytes) -> dict[str, str]:
    """Returns the variables that GRUB has when it reads a grub.cfg, with those of grubenv."""
    folder = absolute(path.rpartition(b"/")[0])
    text = files.text(f"{folder}/{_ENVIRONMENT}") or ""
    lines = (line.partition("=") for line in text.splitlines() if not line.startswith("#"))
    saved = {name: value for name, equals, value in lines if equals}
    # An empty value is what a variable has that nothing sets.
    usual = dict.fromkeys(("saved_entry", "next_entry", "prev_saved_entry"), "")
    # "()" is the device that the file was read from.
    here = f"(){folder}"
    return {**usual, **saved, "root": "", "prefix": here, "config_directory": here}


def _entry(everywhere: Sequence[Files], own: Files, where: str, item: GrubEntry) -> BootEntry:
    named = [path for path in (item.linux, *item.initrd) if path is not None]
    gone: list[str] = []
    for path in named:
        home = home_of(everywhere, own, path)
        if home is not None:
            gone += missing(home, (absolute(path.path),))
    for each in gone:
        own.say(f'{where} names {each} in "{item.title}", which is not there')
    return BootEntry(
        kind="grub", where=where, title=item.title,
        linux=absolute(item.linux.path) if item.linux else "",
        initrd=tuple(absolute(path.path) for path in item.initrd), options=item.options,
        missing=tuple(gone), home=home_of(everywhere, own, item.linux) if item.linux else None,
    )  # fmt: skip


def home_of(everywhere: Sequence[Files], own: Files, path: GrubPath) -> Files | None:
    """Returns the files that a path of GRUB's leads into, or None where that is not told."""
    if not path.device:
        return own
    return next((files for files in everywhere if _is(files, path.device)), None)


def _is(files: Files, device: str) -> bool:
    kind, _, name = device.partition(":")
    if kind == "uuid":
        return files.filesystem.uuid.lower() == name.lower()
    if kind == "label":
        return files.filesystem.label == name
    if kind == "file":
        return files.has(name)
    number = _NUMBER.fullmatch(device)
    partition = files.part.partition
    return number is not None and partition is not None and partition.number == int(number[1])

"""systemd-boot's menu: which entries it shows, in which order, and which is its default.

Sources: the UAPI Group's "Boot Loader Specification", section "Sorting"; loader.conf(5).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from engine.boot.versions import age
from engine.inspect.booting.entry import MAX_ENTRIES, Menu, obstacle
from engine.inspect.booting.type1 import Listed, parse
from engine.inspect.files import Files

SETTINGS = b"loader/loader.conf"
_MAX_PATTERN = 256
_SAVED = "@saved"


def systemd_menu(files: Files, found: Iterable[Listed], architecture: str) -> Menu:
    """Returns the menu that systemd-boot makes.

    Args:
        files: The partition it was started from, which holds its settings.
        found: The entries of that partition and of an extended boot partition.
        architecture: Its own, in EFI's words ("x64"); entries for another are not shown.

    Raises:
        BadImage: The settings cannot be read.
    """
    startable: dict[bool, list[Listed]] = {True: [], False: []}
    for each in found:
        if each.architecture in {"", architecture}:
            startable[each.entry.linux not in {"", *each.entry.missing}].append(each)
    shown = in_order(startable[True])
    notes = [f"{each.entry.where} is not shown: it cannot be booted" for each in startable[False]]
    entries = tuple(each.entry for each in shown[:MAX_ENTRIES])
    if not entries:
        return Menu(notes=tuple(notes), why_not="systemd-boot finds no entry that it can boot")
    pattern = (parse(files.text(SETTINGS) or "").get("default") or ("",))[-1]
    if pattern.lower() == _SAVED:
        notes.append("the entry chosen last is the default; the first is, where none was chosen")
    elif pattern and chosen(shown, pattern) is None:
        notes.append(f'no entry matches the default "{pattern}"; the first is taken')
    default = (chosen(shown, pattern) or shown[0]).entry
    why_not = obstacle(default)
    return Menu(entries, default, tuple(notes), why_not)


def in_order(found: Iterable[Listed]) -> list[Listed]:
    """Sorts as systemd-boot does.

    Entries without tries left come last; before them those without a sort key; then by sort key,
    machine and version, the newest first, and by file name, the last first.
    """
    ordered = sorted(found, key=lambda each: each.tries_left, reverse=True)
    ordered.sort(key=lambda each: age(each.identifier), reverse=True)
    keyed = [each for each in ordered if each.sort_key]
    keyed.sort(key=lambda each: age(each.version), reverse=True)
    keyed.sort(key=lambda each: (each.sort_key, each.machine_id))
    ordered = [*keyed, *(each for each in ordered if not each.sort_key)]
    return sorted(ordered, key=lambda each: each.tries_left == 0)


def chosen(ordered: Iterable[Listed], pattern: str) -> Listed | None:
    """Returns the first entry whose identifier a glob of loader.conf matches, without case."""
    wanted = pattern[:_MAX_PATTERN].lower()
    matching = (each for each in ordered if fnmatch.fnmatchcase(each.identifier, wanted))
    return next(matching, None) if wanted else None

"""Boot entries: one thing that a loader offers to start, whatever form it is written in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from engine.inspect.files import Files

Kind = Literal["type1", "uki", "grub", "extlinux", "kernel"]

MAX_ENTRIES = 512
"""Of one menu."""
MAX_INITRDS = 16
"""Of one entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEntry:
    """One line of a loader's menu.

    Attributes:
        kind: Which form it has.
        where: The partition and path of the file it stands in.
        title, version: As it has them; "" where it has none.
        linux: Path of the kernel, or of the EFI program it starts.
        initrd: Paths of its initrds.
        options: The kernel's command line.
        missing: Those of the paths where nothing lies.
        home: The files that its paths lead into, if it is known which these are.
    """

    kind: Kind
    where: str
    title: str
    version: str = ""
    linux: str = ""
    initrd: tuple[str, ...] = ()
    options: str = ""
    missing: tuple[str, ...] = ()
    home: Files | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Menu:
    """A loader's entries in its order, and its default.

    Attributes:
        notes: What a reader of the menu should know of it.
        why_not: Why neither the default nor anything else boots; "" where it is.
    """

    entries: tuple[BootEntry, ...] = ()
    default: BootEntry | None = None
    notes: tuple[str, ...] = ()
    why_not: str = ""


def missing(files: Files, paths: Iterable[str]) -> tuple[str, ...]:
    """Returns those of the paths that lead to no regular file.

    Raises:
        BadImage: The file system is damaged.
    """
    return tuple(path for path in paths if path and not files.has(path))


def obstacle(entry: BootEntry) -> str:
    """Returns why an entry cannot be booted, or "" where nothing speaks against it."""
    if not entry.linux:
        return f'"{entry.title}" names no kernel'
    if entry.missing:
        return f'"{entry.title}" needs {", ".join(entry.missing)}, which is not there'
    return ""

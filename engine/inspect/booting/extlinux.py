"""The menus of extlinux and SYSLINUX, which U-Boot reads as well.

Source: the SYSLINUX manual, "Config", and U-Boot's documentation, "Extlinux configuration".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from posixpath import join, normpath

from engine.inspect.booting.entry import MAX_ENTRIES, MAX_INITRDS, BootEntry, Menu, missing
from engine.inspect.files import SMALL, Files, absolute, decoded

_MENUS = (
    b"boot/extlinux/extlinux.conf", b"extlinux/extlinux.conf", b"boot/syslinux/syslinux.cfg",
    b"syslinux/syslinux.cfg", b"syslinux.cfg",
)  # fmt: skip


@dataclass(slots=True)
class Label:
    """One label of a menu, its paths as they are written."""

    name: str
    title: str = ""
    linux: str = ""
    initrd: str = ""
    options: str = ""


def extlinux_menus(files: Files) -> Iterator[Menu]:
    """Yields the menus of a file system.

    Raises:
        BadImage: The file system is damaged.
    """
    for path in _MENUS:
        node = files.regular(path)
        if node is not None:
            labels, default = parse(decoded(files.head(node, SMALL)))
            where, folder = files.where(node.path), decoded(node.path.rpartition(b"/")[0])
            entries = {label.name: _entry(files, where, folder, label) for label in labels}
            yield Menu(tuple(entries.values()), entries.get(default))


def parse(text: str) -> tuple[list[Label], str]:
    """Returns the labels of a menu and the name of the default: the first where none is named."""
    labels: list[Label] = []
    default = ""
    for line in text.splitlines():
        key, _, value = " ".join(line.split()).partition(" ")
        key = key.lower()
        if key == "label" and len(labels) < MAX_ENTRIES:
            labels.append(Label(value))
        elif key == "default" and value.lower() != "menu.c32":
            default = value
        elif labels:
            _add(labels[-1], key, value)
    named = default in {label.name for label in labels}
    return labels, default if named or not labels else labels[0].name


def _add(label: Label, key: str, value: str) -> None:
    if key == "menu":
        kind, _, title = value.partition(" ")
        if kind.lower() == "label":
            label.title = title.replace("^", "")
    elif key in {"linux", "kernel"}:
        label.linux = value
    elif key == "initrd":
        label.initrd = value
    elif key == "append":
        words = value.split(" ")
        label.options = " ".join(word for word in words if not word.startswith("initrd="))
        named = [word.removeprefix("initrd=") for word in words if word.startswith("initrd=")]
        label.initrd = label.initrd or ",".join(named)


def _entry(files: Files, where: str, folder: str, label: Label) -> BootEntry:
    names = (label.linux, *label.initrd.split(",")[:MAX_INITRDS])
    linux, *initrd = (_path(folder, name) for name in names)
    paths = (linux, *filter(None, initrd))
    gone = missing(files, paths)
    for each in gone:
        files.say(f"{where} names {each}, which is not there")
    return BootEntry(
        kind="extlinux", where=where, title=label.title or label.name, linux=linux,
        initrd=paths[1:], options=label.options, missing=gone, home=files,
    )  # fmt: skip


def _path(folder: str, name: str) -> str:
    return absolute(normpath(join("/", folder, name))) if name else ""

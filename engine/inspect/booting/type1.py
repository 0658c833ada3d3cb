"""Type 1 entries: a kernel, its initrds and its command line in a small text file.

Source: the UAPI Group's "Boot Loader Specification", sections "Type #1" and "Boot counting".
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from engine.image.reading import Node
from engine.inspect.booting.entry import MAX_ENTRIES, MAX_INITRDS, BootEntry, missing
from engine.inspect.files import SMALL, Files, absolute, decoded

_COUNTED = re.compile(r"(.+)\+(\d{1,9})(?:-\d{1,9})?(\.(?:conf|efi))")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An entry and what systemd-boot sorts its menu by.

    Attributes:
        identifier: The file name in lower case, without boot counters.
        tries_left: Of boot counting; -1 where the entry is not counted.
        architecture: The EFI architecture it is only for, in lower case; "" is any.
    """

    entry: BootEntry
    identifier: str
    sort_key: str = ""
    machine_id: str = ""
    version: str = ""
    tries_left: int = -1
    architecture: str = ""


def type1_entries(files: Files, folder: bytes = b"loader/entries") -> Iterator[Listed]:
    """Yields the type 1 entries of a folder; of a file that makes no sense there is a finding.

    Raises:
        BadImage: The folder is damaged.
    """
    for node in entry_files(files, folder, b".conf"):
        with files.tolerant():
            fields = parse(decoded(files.head(node, SMALL)))
            yield _listed(files, node.path, fields)


def entry_files(files: Files, folder: bytes, ending: bytes) -> Iterator[Node]:
    """Yields the regular files of a folder that have an ending; of too many a finding tells.

    Raises:
        BadImage: The folder is damaged.
    """
    found = (
        node
        for node in files.listed(folder)
        if stat.S_ISREG(node.mode) and node.name.lower().endswith(ending)
    )
    yield from islice(found, MAX_ENTRIES)
    if next(found, None) is not None:
        files.say(f"{files.where(folder)} has over {MAX_ENTRIES} entries; the rest is left out")


def _listed(files: Files, path: bytes, fields: dict[str, tuple[str, ...]]) -> Listed:
    one = {key: values[-1] for key, values in fields.items()}
    identifier, tries_left = counted(decoded(path.rpartition(b"/")[2]))
    program = one.get("linux") or one.get("efi") or ""
    linux = _path(program) if program else ""
    initrd = tuple(filter(None, map(_initrd, fields.get("initrd", ())[:MAX_INITRDS])))
    where = files.where(path)
    gone = missing(files, (linux, *initrd))
    for each in gone:
        files.say(f"{where} names {each}, which is not there")
    if not linux:
        files.say(f"{where} names nothing to boot")
    entry = BootEntry(
        kind="type1", where=where, title=one.get("title") or identifier,
        version=one.get("version", ""), linux=linux, initrd=initrd,
        options=" ".join(fields.get("options", ())), missing=gone, home=files,
    )  # fmt: skip
    return Listed(
        entry=entry, identifier=identifier, sort_key=one.get("sort-key", ""),
        machine_id=one.get("machine-id", "").lower(), version=entry.version,
        tries_left=tries_left, architecture=one.get("architecture", "").lower(),
    )  # fmt: skip


def parse(text: str) -> dict[str, tuple[str, ...]]:
    """Returns the values of each key of "key value" lines, as entries and loader.conf have them.

    Blanks or tabs separate the two; lines that begin with "#" are comments; a value may stand in
    double quotes.
    """
    fields: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, *rest = line.split(maxsplit=1)[:2] or [""]
        if not rest or key.startswith("#"):
            continue
        value = rest[0].strip()
        if len(value) >= 2 and value[0] == value[-1] == '"':
            value = value[1:-1]
        fields.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in fields.items()}


def counted(name: str) -> tuple[str, int]:
    """Returns the identifier of an entry's file, and its tries left ("a+3-1.conf": 3), or -1."""
    match = _COUNTED.fullmatch(name)
    if match is None:
        return name.lower(), -1
    return (match[1] + match[3]).lower(), int(match[2])


def _initrd(value: str) -> str:
    # Fedora's entries name variables of GRUB behind the path ("$tuned_initrd").
    path = " ".join(word for word in value.split(" ") if not word.startswith("$"))
    return _path(path) if path else ""


def _path(value: str) -> str:
    return absolute(value.replace("\\", "/"))

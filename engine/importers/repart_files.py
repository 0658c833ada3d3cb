"""The files of a repart.d folder: definitions with their drop-ins, in systemd.syntax(7)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.importers.draft import Draft, Place
from engine.importers.model import Candidate, refused


def files(folder: Path) -> list[Path]:
    """Returns the definitions of a folder in their order; one that leads to /dev/null is none."""
    try:
        found = sorted(path for path in folder.iterdir() if path.name.endswith(".conf"))
    except OSError as error:
        raise refused(f"{folder} cannot be read: {error.strerror}") from None
    return [path for path in found if path.is_file()]


@dataclass(frozen=True, slots=True)
class Option:
    """One assignment."""

    key: str
    value: str
    where: Place


@dataclass(frozen=True, slots=True)
class Definition:
    """One partition: what its file and the drop-ins of that say."""

    name: str
    where: Place
    options: tuple[Option, ...]

    def last(self, key: str) -> Option | None:
        """Returns what holds of a key that has one value, None where that is empty."""
        found = [option for option in self.options if option.key == key]
        return found[-1] if found and found[-1].value else None

    def all(self, key: str) -> list[Option]:
        """Returns all values of a key that can have several; an empty one starts anew."""
        found: list[Option] = []
        for option in self.options:
            if option.key == key:
                found = [*found, option] if option.value else []
        return found


def definition(
    path: Path, read: Collection[str], reasons: Mapping[str, str], draft: Draft
) -> Definition:
    """Reads a definition and its drop-ins.

    Args:
        path: The file.
        read: Keys that are carried over.
        reasons: Why others are not.
        draft: Takes the notes.

    Raises:
        Refused: A file cannot be read.
    """
    options = list(_options(path, read, reasons, draft))
    dropins = path.with_name(f"{path.name}.d")
    if dropins.is_dir():
        for file in files(dropins):
            options += _options(file, read, reasons, draft)
    name = re.sub(r"^[0-9]+[-_]?", "", path.name.removesuffix(".conf")) or path.name
    return Definition(name, Place(path.name, 1), tuple(options))


def _options(
    path: Path, read: Collection[str], reasons: Mapping[str, str], draft: Draft
) -> Iterator[Option]:
    """Yields the options of a file; tells what is not carried over."""
    text = Candidate(path).text
    if text is None:
        raise refused(f"{path} is not a text")
    section = ""
    for number, line in _lines(text):
        where = Place(path.name, number)
        if line.startswith("["):
            section = line
            if section != "[Partition]":
                draft.note(where, section, "systemd-repart knows [Partition] only")
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            draft.note(where, line, "it is not KEY=VALUE")
        elif section != "[Partition]":
            continue
        elif key in read:
            yield Option(key, value, where)
        elif value and value not in {"no", "off", "false", "0"}:
            draft.note(where, f"{key}={value}", reasons.get(key, "Diskwright does not know it"))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields lines with their numbers: comments left out, those that go on joined."""
    kept, begun = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line.startswith(("#", ";")) or (not line and not kept):
            continue
        begun = begun or number
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        if kept + line:
            yield begun, kept + line
        kept, begun = "", 0
    if kept.strip():
        yield begun, kept.strip()

"""The language of kickstart files: a command a line, with options as a shell's commands have them.

Source: Yocto Project Reference Manual, chapter OpenEmbedded Kickstart.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from engine.importers.draft import Draft, Place
from engine.importers.model import Candidate, refused
from engine.importers.variables import expanded
from engine.units import KIB, MIB

COMMANDS = ("part", "partition", "bootloader", "include")
_MOST_INCLUDES = 16
FLAGS = {
    "active", "no-table", "use-uuid", "use-label", "hidden", "mbr", "no-fstab-update",
    "grow", "asprimary", "recommended",
}  # fmt: skip
_MANY = {"exclude-path", "include-path"}
_VALUES = {
    "align", "offset", "extra-space", "extra-filesystem-space", "extra-partition-space",
    "fsoptions", "fspassno", "fstype", "mkfs-extraopts", "label", "ondisk", "ondrive",
    "overhead-factor", "part-name", "part-type", "rootfs-dir", "type", "size", "fixed-size",
    "source", "sourceparams", "system-id", "uuid", "fsuuid", "change-directory",
    "append", "configfile", "ptable", "diskid", "timeout",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what it names, and its options."""

    name: str
    where: Place
    words: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def get(self, key: str) -> str:
        """Returns the value of an option, or ""."""
        return self.options.get(key, "")


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Yields lines with their numbers: without comments, those that go on joined."""
    kept, begun = "", 0
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        begun = begun or number
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        whole = (kept + line).strip()
        if whole and not whole.startswith("#"):
            yield begun, whole
        kept, begun = "", 0
    if kept.strip() and not kept.startswith("#"):
        yield begun, kept.strip()


def commands(
    candidate: Candidate, environment: Mapping[str, str], draft: Draft, depth: int
) -> Iterator[Command]:
    """Yields the commands of a file, with those of the files that it includes in their place."""
    if candidate.text is None:
        raise refused(f"{candidate.path} is not a text")
    section = ""
    for number, line in lines(candidate.text):
        where = Place(candidate.path.name, number)
        if section or line.startswith("%"):
            if not section:
                draft.note(where, f"the section {line.split()[0]}", "it is an installer's")
            section = "" if line == "%end" or line.startswith("%include") else line
            continue
        try:
            words = shlex.split(expanded(line, environment), comments=True)
        except ValueError as error:
            draft.note(where, line, f"its quotes are not closed ({error})")
            continue
        if not words:
            continue
        if words[0] not in COMMANDS:
            draft.note(where, f"the command {words[0]}", "wic has no such")
            continue
        command = _command(words, where, draft)
        if command.name == "include":
            yield from _included(command, candidate, environment, draft, depth)
        else:
            yield command


def _included(
    command: Command,
    candidate: Candidate,
    environment: Mapping[str, str],
    draft: Draft,
    depth: int,
) -> Iterator[Command]:
    name = command.words[0] if command.words else ""
    found = [candidate.path.parent / name, candidate.path.parent / f"{name}.wks"]
    there = next((path for path in found if path.is_file()), None)
    if there is None or not name:
        draft.note(command.where, f"include {name}", f"{found[0]} is not there")
    elif depth >= _MOST_INCLUDES:
        draft.note(command.where, f"include {name}", "files include each other")
    else:
        yield from commands(Candidate(there), environment, draft, depth + 1)


def _command(words: list[str], where: Place, draft: Draft) -> Command:
    options: dict[str, str] = {}
    lists: dict[str, tuple[str, ...]] = {}
    plain: list[str] = []
    rest = words[1:]
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            plain.append(word)
            continue
        key, equals, value = word[2:].partition("=")
        if key in _MANY:
            several = [value] if equals else []
            while not equals and rest and not rest[0].startswith("--"):
                several.append(rest.pop(0))
            lists[key] = (*lists.get(key, ()), *several)
        elif key in FLAGS:
            options[key] = "yes"
        elif key in _VALUES:
            options[key] = value if equals else rest.pop(0) if rest else ""
        else:
            draft.note(where, word, "Diskwright does not know it")
    return Command(words[0], where, tuple(plain), options, lists)


def size_of(command: Command, key: str, draft: Draft, bare: int) -> int | None:
    """Returns a size in bytes; a number alone counts `bare` bytes."""
    text = command.get(key)
    if not text:
        return None
    match = re.fullmatch(r"([0-9]{1,15})([kKMGs]?)", text)
    if match is None:
        draft.note(command.where, f"--{key}={text}", "it is not a size")
        return None
    units = {"": bare, "k": KIB, "K": KIB, "M": MIB, "G": 1024 * MIB, "s": 512}
    return int(match[1]) * units[match[2]]


def number_of(command: Command, key: str, draft: Draft) -> int | None:
    """Returns a number, or None where there is none."""
    text = command.get(key)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,12}", text):
        draft.note(command.where, f"--{key}={text}", "it is not a number")
        return None
    return int(text)

"""EFI programs in an untrusted file system: their machine, and small sections of theirs.

Source: Microsoft, "PE Format".
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from dataclasses import dataclass

from engine.image.reading import BadFilesystem, Node
from engine.inspect.files import Files, absolute
from engine.units import in_bytes

_HEADERS = 1 << 14
_MAX_SECTION = 1 << 16
_MAX_REACH = 1 << 26
_PE_AT = 0x3C
_MAGIC = b"PE\0\0"
_COFF = struct.Struct("<4xHH12xH2x")
_SECTION = struct.Struct("<8sIIII16x")


@dataclass(frozen=True, slots=True)
class Section:
    """Where a section's data lies in the file. Offset and size are bytes."""

    name: bytes
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Program:
    """The headers of a PE file.

    Attributes:
        machine: Number of the machine type (0x8664 is x86-64).
        sections: In the order of the section table.
    """

    machine: int
    sections: tuple[Section, ...]

    def has(self, name: bytes) -> bool:
        """Whether a section has this name."""
        return any(section.name == name for section in self.sections)


def program(files: Files, node: Node) -> Program | None:
    """Returns the headers of an EFI program, or None where the file is not one.

    Raises:
        BadFilesystem: It is one, and ends before its sections do.
        BadImage: The file system is damaged.
    """
    head = files.head(node, _HEADERS)
    name = absolute(node.path)
    start = int.from_bytes(head[_PE_AT : _PE_AT + 4], "little")
    if head[:2] != b"MZ" or head[start : start + 4] != _MAGIC:
        return None
    try:
        machine, count, optional = _COFF.unpack_from(head, start)
        table = start + _COFF.size + optional
        raw = [_SECTION.unpack_from(head, table + i * _SECTION.size) for i in range(count)]
    except struct.error as error:
        raise BadFilesystem(f"{name} is damaged: its section table is cut off") from error
    sections = tuple(
        Section(title.rstrip(b"\0"), start, min(virtual, stored))
        for title, virtual, _, stored, start in raw
    )
    for section in sections:
        if section.size and section.offset + section.size > node.size:
            raise BadFilesystem(
                f"{name} is damaged: section {section.name.decode('ascii', 'replace')} ends at "
                f"byte {section.offset + section.size} of {node.size}"
            )
    return Program(machine, sections)


def read_sections(
    files: Files, node: Node, found: Program, names: Collection[bytes], most: int = _MAX_SECTION
) -> dict[bytes, bytes]:
    """Returns the data of the sections with these names, of each the first, in one pass.

    Args:
        files: Where the program is.
        node: The program.
        found: Its headers.
        names: Of the sections.
        most: Bytes that a section may have.

    Raises:
        BadFilesystem: A section is larger, or lies further in, than what is read here.
        BadImage: The file system is damaged.
    """
    places: dict[bytes, Section] = {}
    for section in found.sections:
        if section.name in names:
            places.setdefault(section.name, section)
    for section in places.values():
        if section.size > most or section.offset + section.size > _MAX_REACH:
            raise BadFilesystem(
                f"{absolute(node.path)}: section {section.name.decode()} of "
                f"{in_bytes(section.size)} at {section.offset} is not read; {most:,} within "
                f"{_MAX_REACH:,} are"
            )
    data = {name: bytearray(section.size) for name, section in places.items()}
    end = max((section.offset + section.size for section in places.values()), default=0)
    for offset, piece in files.filesystem.data(node):
        if offset >= end:
            break
        for name, section in places.items():
            first = max(section.offset, offset)
            last = min(section.offset + section.size, offset + len(piece))
            if first < last:
                into = slice(first - section.offset, last - section.offset)
                data[name][into] = piece[first - offset : last - offset]
    return {name: bytes(value) for name, value in data.items()}

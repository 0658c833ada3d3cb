"""Unified kernel images: sections appended to systemd's EFI stub.

Layout after the PE/COFF specification (Microsoft, "PE Format") and the UAPI Group's "Unified
Kernel Image" specification, which names the sections the stub reads.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_PE_OFFSET_AT = 0x3C
_COFF_HEADER = struct.Struct("<HHIIIHH")
_SECTION = struct.Struct("<8sIIIIIIHHI")
_INITIALIZED_DATA_READABLE = 0x4000_0040
_PE32_PLUS = 0x20B
# Offsets in the optional header of PE32+.
_SECTION_ALIGNMENT, _FILE_ALIGNMENT = 32, 36
_SIZE_OF_IMAGE, _SIZE_OF_HEADERS, _CHECKSUM = 56, 60, 64
# The stub maps sections by page, whatever its own SectionAlignment says.
_PAGE = 4096


class BadStub(ValueError):
    """The stub is not a PE32+ file, or has no room for more section headers."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section to append: its name (at most 8 bytes) and its length in bytes."""

    name: str
    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything goes in the finished file. Offsets and sizes are bytes.

    Attributes:
        head: The stub with patched headers, up to the end of its own sections' data.
        offsets: File offset of each appended section, in the order given.
        size: Length of the whole file.
    """

    head: bytes
    offsets: tuple[int, ...]
    size: int


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


def lay_out(stub: bytes, sections: Sequence[Section]) -> Layout:
    """Plans a PE file that is `stub` with `sections` appended at ascending addresses.

    The stub's symbol table, which nothing reads at boot, is left behind; its time stamp is kept,
    so the result depends on the arguments alone.

    Raises:
        BadStub: The stub cannot be extended.
    """
    try:
        (pe,) = struct.unpack_from("<I", stub, _PE_OFFSET_AT)
        machine, count, stamp, _, _, optional_size, flags = _COFF_HEADER.unpack_from(stub, pe + 4)
        optional = pe + 4 + _COFF_HEADER.size
        (magic,) = struct.unpack_from("<H", stub, optional)
        (file_alignment,) = struct.unpack_from("<I", stub, optional + _FILE_ALIGNMENT)
        (section_alignment,) = struct.unpack_from("<I", stub, optional + _SECTION_ALIGNMENT)
        (headers,) = struct.unpack_from("<I", stub, optional + _SIZE_OF_HEADERS)
        table = optional + optional_size
        present = [_SECTION.unpack_from(stub, table + i * _SECTION.size) for i in range(count)]
    except struct.error as error:
        raise BadStub(f"not a PE file: {error}") from error
    if stub[:2] != b"MZ" or stub[pe : pe + 4] != b"PE\0\0" or magic != _PE32_PLUS:
        raise BadStub("not a PE32+ file")
    if file_alignment == 0 or not present:
        raise BadStub("the PE header has no file alignment or no sections")
    room = (headers - table) // _SECTION.size - count
    if room < len(sections):
        raise BadStub(f"room for {room} more section headers, {len(sections)} needed")

    address = max(entry[2] + max(entry[1], entry[3]) for entry in present)
    at = _up(max(entry[4] + entry[3] for entry in present), file_alignment)
    head = bytearray(stub[:at].ljust(at, b"\0"))
    offsets = []
    for index, section in enumerate(sections):
        address = _up(address, max(_PAGE, section_alignment))
        stored = _up(section.length, file_alignment)
        name = section.name.encode()
        if len(name) > 8:
            raise BadStub(f"section name {section.name!r} is longer than 8 bytes")
        _SECTION.pack_into(
            head, table + (count + index) * _SECTION.size,
            name, section.length, address, stored, at, 0, 0, 0, 0, _INITIALIZED_DATA_READABLE,
        )  # fmt: skip
        offsets.append(at)
        at += stored
        address += section.length
    _COFF_HEADER.pack_into(
        head, pe + 4, machine, count + len(sections), stamp, 0, 0, optional_size, flags
    )
    image_size = _up(address, max(_PAGE, section_alignment))
    struct.pack_into("<I", head, optional + _SIZE_OF_IMAGE, image_size)
    struct.pack_into("<I", head, optional + _CHECKSUM, 0)
    return Layout(bytes(head), tuple(offsets), at)

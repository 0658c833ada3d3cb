"""qcow2, versions 2 and 3, after QEMU's docs/interop/qcow2.txt.

What is in more than one file, or encrypted, is named and refused.
"""

from __future__ import annotations

import shlex
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import zstandard

from engine.image.container.disk import BadImage, ClusteredDisk
from engine.problem import printable
from engine.units import in_bytes

MAGIC = b"QFI\xfb"
_HEADER = struct.Struct(">4sIQIIQIIQQIIQ")
_OFFSET = 0x00FF_FFFF_FFFF_FE00
_COMPRESSED = 1 << 62
_ZERO = 1
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION_TYPE, _SUBCLUSTERS = 1, 2, 4, 8, 16
_DATA_FILE_NAME = 0x44415441
_MAX_NAME = 1023
_MOST_EXTENSIONS = 64
_KNOWN_FEATURES = _DIRTY | _CORRUPT | _COMPRESSION_TYPE
_MAX_TABLE = 32 << 20  # QEMU's own limit for the level 1 table
_UNPACKED = 32 << 20
"""Bytes of clusters kept unpacked: readers go back and forth between tables and data."""
_SECTOR = 512


class Qcow2Disk(ClusteredDisk):
    """The disk in a qcow2 file."""

    format = "qcow2"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        head = self._file(0, 112)
        (
            _, version, backing, name_size, cluster_bits, self.size, crypt, l1_entries, l1_offset,
            *_,
        ) = _HEADER.unpack_from(head)  # fmt: skip
        features = struct.unpack_from(">Q", head, 72)[0] if version >= 3 else 0
        zstd = bool(features & _COMPRESSION_TYPE) and head[104] == 1
        other = self._other(head, backing, name_size, crypt, features)
        if other:
            self.close()
            raise BadImage(f"{path.name} {other}")
        wrong = (
            f"version {version}" if version not in {2, 3}
            else f"clusters of 2^{cluster_bits} bytes" if not 9 <= cluster_bits <= 21
            else f"incompatible features {features:#x}" if features & ~_KNOWN_FEATURES
            else f"a level 1 table of {l1_entries} entries" if l1_entries * 8 > _MAX_TABLE
            else ""
        )  # fmt: skip
        if wrong:
            self.close()
            raise BadImage(f"{path.name}: qcow2 with {wrong} is not supported")
        self.cluster = 1 << cluster_bits
        self._cluster_bits = cluster_bits
        self._per_table = self.cluster // 8
        if -(-self.size // (self.cluster * self._per_table)) > l1_entries:
            self.close()
            raise BadImage(f"{path.name}: the level 1 table is too small for {in_bytes(self.size)}")
        if l1_entries and l1_offset >= self.file_size:
            self.close()
            raise BadImage(f"{path.name} is cut short: its level 1 table begins at {l1_offset}")
        self._l1 = struct.unpack(f">{l1_entries}Q", self._file(l1_offset, l1_entries * 8))
        tables = sum(1 for entry in self._l1 if entry & _OFFSET)
        if tables * self.cluster > self.file_size:
            self.close()
            raise BadImage(f"{path.name}: {tables} level 2 tables do not fit in this file")
        self._inflate = self._zstd if zstd else self._zlib
        self._table = lru_cache(maxsize=32)(self._load_table)
        self._plain = lru_cache(maxsize=max(_UNPACKED // self.cluster, 1))(self._unpack)

    def _other(self, head: bytes, backing: int, length: int, crypt: int, features: int) -> str:
        """Returns why the disk is not in this file alone, or not as it is, to follow its name."""
        both = f"`qemu-img convert -O raw {shlex.quote(str(self.path))} {_raw(self.path)}`"
        if crypt:
            return "is an encrypted qcow2 image: convert it with qemu-img and its key first"
        if backing:
            name = self._name(backing, length)
            return (
                f"is a qcow2 image that holds only what changed against another, {name}: "
                f"{both} writes the two together"
            )
        if features & _DATA_FILE:
            at, named = struct.unpack_from(">I", head, 100)[0], "another file"
            for _ in range(_MOST_EXTENSIONS):
                kind, size = struct.unpack(">II", self._file(at, 8))
                if not kind:
                    break
                if kind == _DATA_FILE_NAME:
                    named = self._name(at + 8, size)
                at += 8 + (size + 7 & ~7)
            return f"is a qcow2 image whose data is in {named}: {both} writes it as one"
        if features & _SUBCLUSTERS:
            return f"is a qcow2 image with subclusters (extended_l2): convert it with {both} first"
        return ""

    def _name(self, at: int, length: int) -> str:
        raw = self._file(at, min(length, _MAX_NAME))
        return f'"{printable(raw.decode("utf-8", "backslashreplace"))}"'

    def _load_table(self, offset: int) -> tuple[int, ...]:
        return struct.unpack(f">{self._per_table}Q", self._stored(offset, self.cluster))

    def _unpack(self, offset: int, length: int) -> bytes:
        self.spend(self.cluster)
        return self._inflate(self._stored(offset, length))

    def _entry(self, index: int) -> int:
        table, at = divmod(index, self._per_table)
        offset = self._l1[table] & _OFFSET
        return self._table(offset)[at] if offset else 0

    def clusters(self) -> Iterator[int]:
        """Yields allocated clusters; level 2 tables that do not exist are passed over whole."""
        count = -(-self.size // self.cluster)
        plain = 0
        for table, place in enumerate(self._l1):
            if not place & _OFFSET:
                continue
            first = table * self._per_table
            for at, entry in enumerate(self._table(place & _OFFSET)):
                if first + at >= count:
                    return
                if entry & _COMPRESSED:
                    yield first + at
                elif entry & _OFFSET and not entry & _ZERO:
                    plain += 1
                    self._check_room(plain)
                    yield first + at

    def piece(self, index: int, inside: int, length: int) -> bytes | None:
        """Returns bytes of a cluster, which is decompressed whole where it is compressed."""
        entry = self._entry(index)
        if entry & _COMPRESSED:
            bits = 62 - (self._cluster_bits - 8)
            offset = entry & ((1 << bits) - 1)
            sectors = (entry & (_COMPRESSED - 1)) >> bits
            packed = (sectors + 1) * _SECTOR - offset % _SECTOR
            return self._plain(offset, packed)[inside : inside + length]
        if entry & _ZERO or not entry & _OFFSET:
            return None
        return self._stored((entry & _OFFSET) + inside, length)

    def _zlib(self, data: bytes) -> bytes:
        try:
            plain = zlib.decompressobj(-15).decompress(data, self.cluster)
        except zlib.error as error:
            raise BadImage(f"{self.path.name}: damaged compressed cluster: {error}") from error
        return plain.ljust(self.cluster, b"\0")

    def _zstd(self, data: bytes) -> bytes:
        try:
            reader = zstandard.ZstdDecompressor(max_window_size=1 << 23).stream_reader(data)
            plain = reader.read(self.cluster)
        except zstandard.ZstdError as error:
            raise BadImage(f"{self.path.name}: damaged compressed cluster: {error}") from error
        return plain.ljust(self.cluster, b"\0")


def _raw(path: Path) -> str:
    return shlex.quote(str(path.with_suffix(".img")))

"""The metadata of a squashfs: blocks of 8 KiB, packed, that structures run through.

Source: Documentation/filesystems/squashfs.rst of the Linux kernel, "Metadata".
"""

from __future__ import annotations

import struct

from engine.filesystems.squashfs.reader_packed import unpack
from engine.image.reading import BadFilesystem, Window
from engine.units import in_bytes

SIZE = 8192
"""Bytes of a block of metadata once it is unpacked."""

_PLAIN = 0x8000
_KEPT = 512
"""Blocks that are kept unpacked: 4 MiB."""


class Metadata:
    """Reads metadata at places, each a block's first byte in the window and an offset in it."""

    def __init__(self, window: Window, end: int, compression: str) -> None:
        self._window = window
        self._end = end
        self._compression = compression
        self._blocks: dict[int, tuple[bytes, int]] = {}

    def block(self, at: int) -> tuple[bytes, int]:
        """Returns a block unpacked, and where the next one begins.

        Raises:
            BadFilesystem: It is damaged, or lies past the end.
        """
        found = self._blocks.get(at)
        if found is None:
            found = self._read(at)
            if len(self._blocks) >= _KEPT:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[at] = found
        return found

    def _read(self, at: int) -> tuple[bytes, int]:
        if not 0 <= at <= self._end - 2:
            raise BadFilesystem(f"metadata at byte {at} of {self._end:,}")
        (head,) = struct.unpack("<H", self._window.read(at, 2))
        length = head & ~_PLAIN
        if not 0 < length <= SIZE or at + 2 + length > self._end:
            raise BadFilesystem(f"{in_bytes(length)} of metadata at byte {at} of {self._end:,}")
        data = self._window.read(at + 2, length)
        if not head & _PLAIN:
            data = unpack(self._compression, data, SIZE)
            self._window.disk.spend(len(data))
        return data, at + 2 + length


class Cursor:
    """A place in the metadata that moves on as it is read."""

    __slots__ = ("_metadata", "at", "offset")

    def __init__(self, metadata: Metadata, at: int, offset: int) -> None:
        self._metadata = metadata
        self.at = at
        self.offset = offset

    def read(self, length: int) -> bytes:
        """Returns the next bytes.

        Raises:
            BadFilesystem: They are damaged, or there are not so many.
        """
        found = bytearray()
        while True:
            data, following = self._metadata.block(self.at)
            piece = data[self.offset : self.offset + length - len(found)]
            found += piece
            self.offset += len(piece)
            if len(found) == length:
                return bytes(found)
            # Only a full block goes on in another; one that does not is the last of its table.
            if self.offset > len(data) or len(data) < SIZE:
                raise BadFilesystem(f"the metadata at byte {self.at} ends too early")
            self.at, self.offset = following, 0

"""The data of a Btrfs' files: where it lies, verified by its checksums, and unpacked.

Source: struct btrfs_file_extent_item in include/uapi/linux/btrfs_tree.h of the Linux kernel.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from engine.filesystems.btrfs.reader_forest import END, Forest
from engine.filesystems.btrfs.reader_packed import LARGEST, NAMES, unpack
from engine.filesystems.btrfs.reader_superblock import Superblock
from engine.filesystems.btrfs.reader_tree import Key
from engine.image.reading import BadFilesystem, Node, Window
from engine.units import in_bytes

INODE_ITEM, INODE = 1, 160
"""Type of an item that is an inode, and its bytes."""
_EXTENT, _SUMS = 108, 128
_SUMS_TREE = 7
_SUMS_OBJECT = (1 << 64) - 10
_INLINE, _REGULAR, _PREALLOCATED = range(3)
_INLINE_HEAD, _EXTENT_SIZE = 21, 53
_NO_SUMS = 1
"""Flag of an inode whose data has no checksums."""
_MAX_EXTENTS = 1 << 22
_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of a file.

    Attributes:
        start, length: Bytes of the file.
        kind: Of its compression, 0 for none.
        unpacked: Bytes of the whole piece on the disk once it is unpacked.
        logical, stored: Where that piece lies, and its bytes there.
        offset: Of what belongs to the file, in it once unpacked.
        inline: Its bytes, where a tree has them; `place` is then theirs.
    """

    start: int
    length: int
    kind: int
    unpacked: int
    logical: int = 0
    stored: int = 0
    offset: int = 0
    inline: bytes | None = None
    place: int = 0


class FileData:
    """Reads what files hold."""

    def __init__(self, window: Window, superblock: Superblock, forest: Forest) -> None:
        self._window = window
        self._superblock = superblock
        self._forest = forest

    def extents(self, number: int, size: int) -> Iterator[Extent]:
        """Yields the pieces of a file that are not holes, cut off at its end."""
        _, inode = self._forest.split(number)
        end = count = 0
        for item in self._forest.items(number, _EXTENT, _EXTENT):
            start, raw = item.key.offset, item.data
            if len(raw) < _INLINE_HEAD:
                raise BadFilesystem(f"Btrfs inode {inode}: a piece of {in_bytes(len(raw))}")
            unpacked, kind, encrypted, encoded, form = struct.unpack_from("<QBBHB", raw, 8)
            if encrypted or encoded:
                raise BadFilesystem(f"Btrfs inode {inode}: encrypted data, which is not read here")
            if start < end:
                raise BadFilesystem(f"Btrfs inode {inode}: pieces that overlap at {start}")
            count += 1
            if count > _MAX_EXTENTS:
                raise BadFilesystem(f"Btrfs inode {inode}: more than {_MAX_EXTENTS} pieces")
            if form == _INLINE:
                end = start + unpacked
                length = min(unpacked, size - start)
                if length > 0:
                    yield Extent(
                        start, length, kind, unpacked, inline=raw[_INLINE_HEAD:],
                        place=item.place + _INLINE_HEAD,
                    )  # fmt: skip
                continue
            if form > _PREALLOCATED or len(raw) < _EXTENT_SIZE:
                raise BadFilesystem(f"Btrfs inode {inode}: a piece of the form {form}")
            logical, stored, offset, length = struct.unpack_from("<QQQQ", raw, _INLINE_HEAD)
            end = start + length
            if form == _PREALLOCATED or not logical:
                continue
            whole = unpacked if kind else stored
            if offset + length > whole or end > END >> 1 or (kind and stored > LARGEST):
                raise BadFilesystem(
                    f"Btrfs inode {inode}: {in_bytes(length)} from {offset:,} on of {whole:,}"
                )
            length = min(length, size - start)
            if length > 0:
                yield Extent(start, length, kind, unpacked, logical, stored, offset)

    def placed(self, number: int, size: int) -> Iterator[tuple[int, int, int]]:
        """Yields where a file has data; of what is compressed, where that begins."""
        for one in self.extents(number, size):
            yield one.start, one.place if one.inline is not None else self.lies(one)[0], one.length

    def lies(self, one: Extent) -> tuple[int, int]:
        """Returns place and length in the window of a piece that is not inline, as it is stored."""
        if one.kind:
            return self._forest.nodes.places(one.logical, one.stored)[0], one.stored
        return self._forest.nodes.places(one.logical + one.offset, one.length)[0], one.length

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """Yields a file's data, holes left out, once it agrees with its checksums."""
        if not stat.S_ISREG(node.mode):
            return
        verified = self._has_sums(node.inode)
        for one in self.extents(node.inode, node.size):
            if one.inline is not None or one.kind:
                yield one.start, self.piece(one, verified=verified)
                continue
            # Blocks have checksums: pieces begin at one, and are cut to what is wanted.
            block = self._superblock.block_size
            first, last = one.offset, one.offset + one.length
            for at in range(first // block * block, last, _PIECE):
                end = min(at + _PIECE, -(-last // block) * block)
                data = self._read(one.logical + at, end - at, verified=verified)
                low, high = max(at, first), min(end, last)
                yield one.start + low - first, data[low - at : high - at]

    def _has_sums(self, number: int) -> bool:
        item = next(self._forest.items(number, INODE_ITEM, INODE_ITEM), None)
        if item is None or len(item.data) < INODE:
            return False
        (flags,) = struct.unpack_from("<Q", item.data, 64)
        return not flags & _NO_SUMS

    def piece(self, one: Extent, *, verified: bool = False) -> bytes:
        """Returns the bytes of a piece that is inline or compressed."""
        data = one.inline
        if data is None:
            data = self._read(one.logical, one.stored, verified=verified)
        if one.kind:
            data = unpack(one.kind, data, one.unpacked, self._superblock.block_size)
        data = data[one.offset : one.offset + one.length]
        if len(data) != one.length:
            what = NAMES.get(one.kind, "inline data")
            raise BadFilesystem(
                f"Btrfs: a piece of {what} has {in_bytes(len(data))}, not {one.length:,}"
            )
        return data

    def _read(self, logical: int, length: int, *, verified: bool) -> bytes:
        """Returns bytes of data, whole blocks of them; of two copies the one that is sound.

        Raises:
            BadFilesystem: They do not agree with their checksums.
        """
        size = self._superblock.checksums.size
        sums = self._stored_sums(logical, length) if verified else {}
        wrong = 0
        for place in self._forest.nodes.places(logical, length):
            data = self._window.read(place, length)
            for at in range(0, length, self._superblock.block_size):
                stored = sums.get(logical + at)
                block = data[at : at + self._superblock.block_size]
                if stored and not self._superblock.checksums.holds(block, stored[:size]):
                    wrong = wrong or place + at
                    break
            else:
                return data
        raise BadFilesystem(f"Btrfs: the data at byte {wrong} does not agree with its checksum")

    def _stored_sums(self, logical: int, length: int) -> dict[int, bytes]:
        """Returns the checksums of the blocks of a range that have one."""
        checksums, block = self._superblock.checksums, self._superblock.block_size
        tree = self._forest.find(_SUMS_TREE)
        if tree is None or not checksums.known:
            return {}
        found: dict[int, bytes] = {}
        first, last = Key(_SUMS_OBJECT, _SUMS, logical), Key(_SUMS_OBJECT, _SUMS, logical + length)
        for item in self._forest.nodes.items(tree.root, tree.level, first, last, before=True):
            if item.key[:2] != (_SUMS_OBJECT, _SUMS):
                continue
            begin = max(0, (logical - item.key.offset) // block)
            count = min(len(item.data) // checksums.size,
                        -(-(logical + length - item.key.offset) // block))  # fmt: skip
            for index in range(begin, count):
                at = index * checksums.size
                found[item.key.offset + index * block] = item.data[at : at + checksums.size]
        return found

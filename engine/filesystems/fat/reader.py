"""Reads FAT12, FAT16 and FAT32 without mounting.

Source: Microsoft, "FAT32 File System Specification" 1.03, for the boot sector, the tables, the
directory entries and long names.
"""

from __future__ import annotations

import calendar
import struct
from collections.abc import Iterator, Mapping, Sequence

from engine.filesystems.fat import reader_map
from engine.filesystems.fat.reader_fields import boot_sector
from engine.image.container import BadImage
from engine.image.fields import Record
from engine.image.reading import BadFilesystem, Node, Window
from engine.units import in_bytes

_ENTRY = 32
_DELETED, _END = 0xE5, 0x00
_LONG_NAME, _VOLUME, _FOLDER, _READ_ONLY = 0x0F, 0x08, 0x10, 0x01
_MAX_CLUSTERS = (1 << 28) - 11  # the last numbers mean bad and the end
_MAX_FOLDER = 1 << 21  # 65,536 entries
_TABLE_PIECE = 1 << 16
_STATE_AT = {12: 0x25, 16: 0x25, 32: 0x41}
_DIRTY = 0x01
_CLEAN_SHUTDOWN = {16: 0x8000, 32: 0x0800_0000}
_MAX_FAT12_CLUSTERS, _MAX_FAT16_CLUSTERS = 4084, 65524
_NO_LABEL = "NO NAME"
"""What the boot sector of a FAT without a label says."""


class FatFilesystem:
    """A FAT file system in a window of a disk."""

    type = "vfat"

    def __init__(self, window: Window) -> None:
        self._window = window
        boot = window.read(0, 512)
        self.boot_sector = boot
        (
            sector, self._per_cluster, reserved, self.tables, root_entries, total16, _, table16,
        ) = struct.unpack_from("<HBHBHHBH", boot, 11)  # fmt: skip
        total32, table32 = struct.unpack_from("<II", boot, 32)
        table, total = table16 or table32, total16 or total32
        if (
            boot[510:512] != b"\x55\xaa" or sector not in {512, 1024, 2048, 4096}
            or not self._per_cluster or not self.tables or not table or not reserved
        ):  # fmt: skip
            raise BadFilesystem("no FAT boot sector")
        self.sector = sector
        self.block_size: int = self._per_cluster * sector
        self.table_at = reserved * sector
        self.root_at = (reserved + self.tables * table) * sector
        root_size = root_entries * _ENTRY
        self.data_at = self.root_at + -(-root_size // sector) * sector
        self._root_size = root_size
        self.clusters = max(total * sector - self.data_at, 0) // self.block_size
        self.bits = _bits(self.clusters, wide=not table16)
        if (self.clusters + 2) * self.bits > table * sector * 8:
            raise BadFilesystem(f"{self.clusters} clusters do not fit the table")
        if self.root_at > window.size:
            raise BadFilesystem(f"its tables end at byte {self.root_at} of {window.size}")
        self.table_size = table * sector
        self._root_cluster = struct.unpack_from("<I", boot, 44)[0] if self.bits == 32 else 0
        at = 67 if self.bits == 32 else 39
        serial = struct.unpack_from("<I", boot, at)[0]
        self.uuid = f"{serial >> 16:04X}-{serial & 0xFFFF:04X}"
        self.size = total * sector
        self.room = min(self.size, window.size)
        own = boot[at + 4 : at + 15].decode("cp437").rstrip()
        self.boot_label = "" if own == _NO_LABEL else own
        """Of the boot sector, which nobody heeds."""
        try:
            self.label = self._volume_label()
        except BadImage:
            self.label = self.boot_label  # the root directory is damaged or cut off

    @property
    def free(self) -> int:
        """Bytes in free clusters, counted in the first table."""
        return self._count_free() * self.block_size

    def _count_free(self) -> int:
        if self.bits == 12:
            return sum(1 for _ in self.free_clusters())
        # What is empty is passed over whole: a table has up to a gibibyte.
        return sum(
            sum(not value & 0x0FFF_FFFF for value in values) if any(values) else len(values)
            for values in self._table_pieces()
        )

    @property
    def clean(self) -> bool:
        """Whether it was unmounted cleanly: by the boot sector's flag, and by the table's.

        The specification has the flag in the table's second entry, but for FAT12; Linux and
        Windows keep another in a byte of the boot sector that was once reserved (Linux,
        fs/fat/inode.c).
        """
        if self.boot_sector[_STATE_AT[self.bits]] & _DIRTY:
            return False
        flag = _CLEAN_SHUTDOWN.get(self.bits, 0)
        return not flag or bool(self._entry(1) & flag)

    @property
    def first_entry(self) -> int:
        """The entry that no cluster has, with the media byte."""
        return self._entry(0)

    def table_entries(self) -> Iterator[int]:
        """Yields the entries of the first table, from that of cluster 2 on."""
        return self._entries()

    def read_table(self, number: int, start: int, length: int) -> bytes:
        """Returns bytes of a copy of the table; 0 is the first."""
        return self._window.read(self.table_at + number * self.table_size + start, length)

    def read_sector(self, number: int) -> bytes:
        """Returns the first 512 bytes of a sector."""
        return self._window.read(number * self.sector, 512)

    def free_clusters(self) -> Iterator[int]:
        """Yields the free clusters, rising, as the first table has them."""
        return (cluster for cluster, entry in enumerate(self._entries(), 2) if entry == 0)

    def figures(self) -> Mapping[str, int]:
        return {"blocks": self.clusters, "fat_bits": self.bits}

    def header(self) -> Mapping[str, object]:
        return {
            "bits": self.bits, "label": self.label, "volume id": self.uuid, "bytes": self.size,
            "cluster size": self.block_size, "tables": self.tables, "clusters": self.clusters,
        }  # fmt: skip

    def records(self) -> Iterator[Record]:
        yield Record("boot-sector", "FAT boot sector", self.boot_sector, boot_sector(self.bits))

    def inode_record(self, node: Node) -> None:
        """See `Recorded.inode_record`; FAT has no inodes."""

    def structures(self) -> Iterator[tuple[int, int, str]]:
        return reader_map.structures(self)

    def unused(self) -> Iterator[tuple[int, int]]:
        return reader_map.unused(self)

    def lookup(self, path: bytes) -> Node | None:
        """Returns what is at a path, names compared without case, or None."""
        node = Node(path=b"", mode=0o040755, inode=self._root_cluster)
        for part in (part for part in path.split(b"/") if part):
            if node.mode & 0o170000 != 0o040000:
                return None
            found = self._child(node, part)
            if found is None:
                return None
            node = found
        return node

    def _child(self, folder: Node, name: bytes) -> Node | None:
        """Returns what has just that name, or else the first that has it in another case."""
        wanted = name.decode("utf-8", "replace").casefold()
        found = None
        for child in self.listed(folder):
            if child.name == name:
                return child
            if found is None and child.name.decode("utf-8", "replace").casefold() == wanted:
                found = child
        return found

    def children(self, node: Node) -> Iterator[Node]:
        """Yields what a directory holds, sorted by name."""
        yield from sorted(self.listed(node), key=lambda child: child.path)

    def stored_names(self, node: Node) -> Iterator[bytes]:
        """Yields the names of a directory in the order of its entries."""
        return (child.name for child in self.listed(node))

    def blocks_of(self, node: Node) -> Iterator[int]:
        """Yields where in the window each cluster of a file or directory begins."""
        return map(self.place, self.clusters_of(node))

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """Yields a file's data, cluster by cluster."""
        at = 0
        for cluster in self.clusters_of(node):
            take = min(self.block_size, node.size - at)
            yield at, self._window.read(self.place(cluster), take)
            at += take
        if at < node.size:
            raise BadFilesystem(
                f"{node.path!r}: the chain ends after {at:,} of {in_bytes(node.size)}"
            )

    def clusters_of(self, node: Node) -> Iterator[int]:
        """Yields the clusters of a file or directory; none for a fixed root directory."""
        if node.mode & 0o170000 == 0o040000:
            most = max(_MAX_FOLDER // self.block_size, 1)
        else:
            most = -(-node.size // self.block_size)
        return self._chain(node.inode, most) if node.inode else iter(())

    def place(self, cluster: int) -> int:
        """Returns the first byte of a cluster in the window."""
        return int(self.data_at + (cluster - 2) * self.block_size)

    def _entry(self, cluster: int) -> int:
        if self.bits == 12:
            at = cluster * 3 // 2
            (pair,) = struct.unpack("<H", self._window.read(self.table_at + at, 2))
            return int(pair >> 4 if cluster % 2 else pair & 0xFFF)
        width = self.bits // 8
        raw = self._window.read(self.table_at + cluster * width, width)
        return int.from_bytes(raw, "little") & 0x0FFF_FFFF

    def _entries(self) -> Iterator[int]:
        if self.bits == 12:
            yield from map(self._entry, range(2, self.clusters + 2))
            return
        for values in self._table_pieces():
            yield from (value & 0x0FFF_FFFF for value in values)

    def _table_pieces(self) -> Iterator[Sequence[int]]:
        """Yields the entries of a table of 16 or 32 bits, without the two that no cluster has."""
        width = self.bits // 8
        first, end = 2 * width, (self.clusters + 2) * width
        for start in range(first, end, _TABLE_PIECE):
            data = self._window.read(self.table_at + start, min(_TABLE_PIECE, end - start))
            yield struct.unpack(f"<{len(data) // width}{'H' if width == 2 else 'I'}", data)

    def _chain(self, cluster: int, limit: int) -> Iterator[int]:
        last = (1 << min(self.bits, 28)) - 8
        for _ in range(min(limit, self.clusters)):  # longer ones go round in circles
            if cluster >= last:
                return
            if not 2 <= cluster < self.clusters + 2:
                raise BadFilesystem(f"cluster {cluster} of {self.clusters} in a chain")
            yield cluster
            cluster = self._entry(cluster)

    def entries(self, node: Node) -> Iterator[bytes]:
        """Yields the entries of a directory as they stand, up to its end.

        Raises:
            BadImage: It is damaged, or cut off by the end of the image.
        """
        for place, size in self._pieces_of(node):
            there = max(min(size, self._window.size - place), 0) // _ENTRY * _ENTRY
            data = self._window.read_entries(place, there)
            for at in range(0, there, _ENTRY):
                if data[at] == _END:
                    return
                yield data[at : at + _ENTRY]
            if there < size:
                raise BadFilesystem(f"directory {node.path!r} is cut off at byte {place + there}")

    def _pieces_of(self, node: Node) -> Iterator[tuple[int, int]]:
        if node.inode:
            yield from (
                (place, self.block_size) for place in map(self.place, self.clusters_of(node))
            )
        else:
            yield self.root_at, self._root_size

    def _volume_label(self) -> str:
        for raw in self.entries(Node(path=b"", mode=0o040755, inode=self._root_cluster)):
            kind, cluster = raw[11], raw[20:22] + raw[26:28]
            if raw[0] == _DELETED or kind & _LONG_NAME == _LONG_NAME or any(cluster):
                continue
            if kind & (_VOLUME | _FOLDER) == _VOLUME:
                return _unescaped(raw[:11]).decode("cp437").rstrip()
        return ""

    def listed(self, node: Node) -> Iterator[Node]:
        """Yields what a directory holds, in the order of its entries.

        Raises:
            BadImage: It is damaged, or cut off by the end of the image.
        """
        prefix = node.path + b"/" if node.path else b""
        long: list[bytes] = []
        for raw in self.entries(node):
            if raw[0] == _DELETED:
                long = []
            elif raw[11] == _LONG_NAME:
                long.insert(0, raw[1:11] + raw[14:26] + raw[28:32])
            elif raw[11] & _VOLUME or raw[:1] == b".":
                long = []
            else:
                yield self._node(prefix + (_long_name(long) or _short_name(raw)), raw)
                long = []

    def _node(self, path: bytes, raw: bytes) -> Node:
        high, time, date, low, size = struct.unpack_from("<HHHHI", raw, 20)
        folder = bool(raw[11] & _FOLDER)
        mode = 0o040755 if folder else 0o100444 if raw[11] & _READ_ONLY else 0o100644
        return Node(
            path=path, mode=mode, size=0 if folder else size, inode=high << 16 | low,
            mtime_ns=_seconds(date, time) * 1_000_000_000,
        )  # fmt: skip


def probe(window: Window) -> FatFilesystem | None:
    """Returns the FAT file system in a window, or None if there is none.

    Raises:
        BadFilesystem: It is there, and damaged.
    """
    boot = window.read(0, 512)
    known = boot[510:512] == b"\x55\xaa" and b"FAT" in boot[:96]
    return FatFilesystem(window) if known else None


def _bits(clusters: int, *, wide: bool) -> int:
    """Returns the width of the table's entries.

    The specification tells FAT32 by the number of clusters alone. Firmware and Linux tell it by
    the size of the table standing in the wide field, so that small FAT32 file systems are read.
    """
    if clusters > (_MAX_CLUSTERS if wide else _MAX_FAT16_CLUSTERS):
        raise BadFilesystem(f"{clusters} clusters are more than any FAT has")
    if wide:
        return 32
    return 12 if clusters <= _MAX_FAT12_CLUSTERS else 16


def _long_name(parts: list[bytes]) -> bytes:
    text = b"".join(parts).decode("utf-16-le", "replace").partition("\0")[0]
    return text.replace("/", "\N{REPLACEMENT CHARACTER}").encode()


def _unescaped(name: bytes) -> bytes:
    """Returns a name whose first byte is 0xE5, which alone would mean that it is deleted."""
    return b"\xe5" + name[1:] if name[:1] == b"\x05" else name


def _short_name(raw: bytes) -> bytes:
    # Bits 3 and 4 of byte 12 say that stem and extension are in lower case (Windows NT).
    stem = _unescaped(raw[:8]).decode("cp437").rstrip()
    extension = raw[8:11].decode("cp437").rstrip()
    stem = stem.lower() if raw[12] & 0x08 else stem
    extension = extension.lower() if raw[12] & 0x10 else extension
    name = f"{stem}.{extension}" if extension else stem
    return name.replace("/", "\N{REPLACEMENT CHARACTER}").replace("\0", "").encode() or b"?"


def _seconds(date: int, time: int) -> int:
    year, month, day = 1980 + (date >> 9), date >> 5 & 0xF, date & 0x1F
    clock = (time >> 11, time >> 5 & 0x3F, (time & 0x1F) * 2)
    if not 1 <= month <= 12 or not day:
        return 0
    return calendar.timegm((year, month, day, *clock))

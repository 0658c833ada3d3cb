"""The layout of an empty FAT file system: that of mkfs.fat 4.2 on a partition of its own.

Source: Microsoft FAT specification (fatgen103) for the limits and the cluster sizes; dosfstools
4.2, src/mkfs.fat.c for the rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.units import in_bytes

MIN_CLUSTERS_32 = 65_525
"""Fewer clusters than this are, by definition, not FAT32, whatever the label says."""
MIN_CLUSTERS_16 = 4_087
MAX_CLUSTERS = {12: 4_084, 16: 65_524, 32: 268_435_446}
MAX_FILE_BYTES = 2**32 - 1
"""Largest file: its size is a 32-bit field."""
DIRECTORY_ENTRY = 32

FATS = 2
"""Copies of the table."""
HEADS, TRACK = 64, 32
"""Heads, and sectors of a track: cylinders of 1 MiB, so that no sector is lost to rounding."""
MAX_DIRECTORY_ENTRIES = 65_536
"""Entries of the largest directory (Linux, fs/fat/dir.c: FAT_MAX_DIR_ENTRIES)."""

_RESERVED = {12: 1, 16: 1, 32: 32}
_ROOT_ENTRIES = 512
_FIRST_CLUSTER_SECTORS = 4  # where the search starts for FAT12 and FAT16
_MAX_CLUSTER_SECTORS = 128
_UNALIGNED_SECTORS = 8_192  # so small a volume is not aligned to clusters
_FAT32_FROM = 512 << 20  # where mkfs.fat takes FAT32 of its own accord


class FatSizeError(ValueError):
    """No FAT file system of that kind fits that size; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FatGeometry:
    """An empty FAT file system. Sectors are logical sectors of `sector_size` bytes.

    Attributes:
        size: Bytes of its partition.
        bits: 12, 16 or 32.
        sectors: Sectors it takes up; the rest of the partition stays unused.
        fat_sectors: Sectors of one of the two tables.
        root_entries: Fixed root directory of FAT12 and FAT16; 0 for FAT32.
        clusters: Clusters for data, the FAT32 root directory's first one included.
    """

    size: int
    bits: int
    sector_size: int
    sectors: int
    sectors_per_cluster: int
    reserved_sectors: int
    fat_sectors: int
    root_entries: int
    clusters: int

    @property
    def cluster_size(self) -> int:
        """Bytes of a cluster."""
        return self.sectors_per_cluster * self.sector_size

    @property
    def data_bytes(self) -> int:
        """Bytes of all clusters."""
        return self.clusters * self.cluster_size

    @property
    def root_start(self) -> int:
        """First byte of the fixed root directory, or of the first cluster of FAT32."""
        return self.fat_start(FATS)

    @property
    def data_start(self) -> int:
        """First byte of the first cluster, whose number is 2."""
        return self.root_start + self.root_entries * DIRECTORY_ENTRY

    def fat_start(self, number: int) -> int:
        """Returns the first byte of a table, counted from 0."""
        return (self.reserved_sectors + number * self.fat_sectors) * self.sector_size

    def clusters_for(self, size: int) -> int:
        """Returns the clusters that so many bytes take."""
        return -(-size // self.cluster_size)

    @property
    def overhead(self) -> int:
        """Bytes of the partition that are not clusters: boot sectors, tables, rounding."""
        return self.size - self.data_bytes


def geometry(size: int, *, sector_size: int = 512, bits: int | None = 32) -> FatGeometry:
    """Returns the layout that mkfs.fat makes of a partition.

    Args:
        size: Bytes of the partition, a multiple of `sector_size`.
        sector_size: Logical sector of the disk.
        bits: 12, 16 or 32, or None for mkfs.fat's own choice (what make-disk-image gets).

    Raises:
        FatSizeError: The partition is too small, or too large for the type.
    """
    sectors = size // sector_size // TRACK * TRACK
    aligned = sectors > _UNALIGNED_SECTORS
    if bits == 32 or (bits is None and size >= _FAT32_FROM):
        return _fit(size, sector_size, sectors, 32, _fat32_cluster(sectors), aligned=aligned)
    per_cluster = _FIRST_CLUSTER_SECTORS
    while per_cluster <= _MAX_CLUSTER_SECTORS:
        found = [
            candidate
            for candidate in (
                _try(size, sector_size, sectors, kind, per_cluster, aligned=aligned)
                for kind in ((bits,) if bits else (16, 12))
            )
            if candidate is not None
        ]
        if found:
            return max(found, key=lambda candidate: candidate.clusters)
        per_cluster *= 2
    raise FatSizeError(f"no FAT file system fits {in_bytes(size)}")


def smallest(*, sector_size: int = 512, multiple: int = 1 << 20) -> int:
    """Returns the smallest partition that holds a real FAT32, a multiple of so many bytes."""
    low, high = 1, (MIN_CLUSTERS_32 * sector_size * 2) // multiple + 1
    while low < high:
        middle = (low + high) // 2
        if _is_fat32(middle * multiple, sector_size):
            high = middle
        else:
            low = middle + 1
    return low * multiple


def _is_fat32(size: int, sector_size: int) -> bool:
    try:
        return geometry(size, sector_size=sector_size).clusters >= MIN_CLUSTERS_32
    except FatSizeError:
        return False


def _fat32_cluster(sectors: int) -> int:
    """Returns sectors per cluster: 512 bytes up to 260 MiB, then 4 KiB, 8 KiB from 8 GiB, ..."""
    for limit_mib, per_cluster in ((260, 1), (8 << 10, 8), (16 << 10, 16), (32 << 10, 32)):
        if sectors <= limit_mib * 2048:
            return per_cluster
    return 64


def _fit(
    size: int, sector_size: int, sectors: int, bits: int, per_cluster: int, *, aligned: bool
) -> FatGeometry:
    found = _try(size, sector_size, sectors, bits, per_cluster, aligned=aligned)
    if found is None:
        raise FatSizeError(f"FAT{bits} with {per_cluster} sectors per cluster cannot span "
                           f"{in_bytes(size)}")  # fmt: skip
    return found


def _try(
    size: int, sector_size: int, sectors: int, bits: int, per_cluster: int, *, aligned: bool
) -> FatGeometry | None:
    """Returns the layout of one type and cluster size, or None where it has no valid one."""
    grain = per_cluster if aligned else 1
    reserved = _up(_RESERVED[bits], grain)
    root_sectors = 0 if bits == 32 else _up(-(-_ROOT_ENTRIES * 32 // sector_size), grain)
    room = sectors - reserved - root_sectors
    if room <= 0:
        return None
    # Twice the bytes that a cluster takes in both tables: whole bytes for FAT12, too.
    table = FATS * bits // 4
    first = (2 * room * sector_size + 2 * table) // (2 * per_cluster * sector_size + table)
    fat_bytes = ((first + 2) * bits + 7) // 8
    fat_sectors = _up(-(-fat_bytes // sector_size), grain)
    clusters = (room - FATS * fat_sectors) // per_cluster
    limit = min(MAX_CLUSTERS[bits], fat_sectors * sector_size * 8 // bits)
    minimum = MIN_CLUSTERS_16 if bits == 16 else 1
    if not minimum <= clusters <= limit:
        return None
    return FatGeometry(
        size=size,
        bits=bits,
        sector_size=sector_size,
        sectors=sectors,
        sectors_per_cluster=per_cluster,
        reserved_sectors=reserved,
        fat_sectors=fat_sectors,
        root_entries=root_sectors * sector_size // DIRECTORY_ENTRY,
        clusters=clusters,
    )


def _up(value: int, grain: int) -> int:
    return -(-value // grain) * grain

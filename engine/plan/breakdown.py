"""Where every byte of the disk goes; the parts sum to the disk, exactly and always."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.disk.gpt import BACKUP_SECTORS, FIRST_USABLE
from engine.filesystems.ext4.solve import taken_blocks
from engine.filesystems.fat import measure as fat_measure
from engine.plan.model import DiskPlan, FilesystemPlan, PartitionPlan, Share

LABELS = {
    "table": "Partition table",
    "boot-gap": "Gap for a boot loader",
    "bios-boot": "BIOS boot partition",
    "esp-metadata": "ESP: tables and directories",
    "esp-contents": "ESP: file contents",
    "esp-free": "ESP: free",
    "contents": "File contents",
    "rounding": "Contents, rounded up to blocks",
    "directories": "Directories",
    "inode-tables": "Inode tables",
    "journal": "Journal",
    "metadata": "Other metadata",
    "reserved": "Reserved for the superuser",
    "free": "Free",
    "unformatted": "Without a file system",
    "alignment": "Alignment",
    "tail": "Unused tail",
}
"""Every part there can be, in the order in which they are shown."""


def breakdown(
    disk: DiskPlan, partitions: Sequence[PartitionPlan], filesystem: FilesystemPlan | None
) -> tuple[Share, ...]:
    """Returns the parts that are not empty, in the order of `LABELS`."""
    sums = dict.fromkeys(LABELS, 0)
    for key, size in _parts(disk, partitions, filesystem):
        sums[key] += size
    return tuple(Share(key, LABELS[key], size) for key, size in sums.items() if size)


def _parts(
    disk: DiskPlan, partitions: Sequence[PartitionPlan], filesystem: FilesystemPlan | None
) -> Iterator[tuple[str, int]]:
    if not partitions:
        if filesystem is None:
            yield "unformatted", disk.bytes
        else:
            yield from _contained(disk.bytes, filesystem)
        return
    front, back = _table_bytes(disk)
    at = front
    yield "table", front + back
    for index, partition in enumerate(sorted(partitions, key=lambda one: one.start)):
        start = partition.start * disk.sector_size
        yield "alignment" if index else "boot-gap", start - at
        if partition.role == "bios-boot":
            yield "bios-boot", partition.bytes
        elif partition.filesystem is None:
            yield "unformatted", partition.bytes
        else:
            yield from _contained(partition.bytes, partition.filesystem)
        at = start + partition.bytes
    yield "tail", disk.bytes - back - at


def _table_bytes(disk: DiskPlan) -> tuple[int, int]:
    """Returns the bytes of the table at the front and of its copy at the end."""
    if disk.table == "gpt":
        sector = disk.sector_size
        return FIRST_USABLE[sector] * sector, BACKUP_SECTORS[sector] * sector
    return disk.sector_size if disk.table == "mbr" else 0, 0


def _contained(size: int, filesystem: FilesystemPlan) -> Iterator[tuple[str, int]]:
    """Yields the parts of a partition with a file system.

    What does not fit is cut off, so that the sum holds for a plan with errors, too.
    """
    left = size
    parts = _ext(filesystem) if filesystem.geometry else _fat(filesystem)
    for key, wanted in parts:
        taken = min(wanted, left)
        left -= taken
        yield key, taken
    yield "alignment", left


def _ext(filesystem: FilesystemPlan) -> Iterator[tuple[str, int]]:
    layout, taken = filesystem.geometry, filesystem.need
    assert layout is not None
    assert taken is not None
    block = layout.block_size
    tables = layout.groups * layout.inode_table_blocks
    journal = layout.journal_blocks + layout.journal_map_blocks
    # What mke2fs takes beyond its overhead and journal: root directory, lost+found, resize inode.
    first_files = layout.blocks - layout.free_blocks - layout.overhead_blocks - journal
    broken = taken_blocks(taken, layout) - taken.blocks
    maps = taken.extent_blocks + broken + taken.xattr_blocks
    yield "inode-tables", tables * block
    yield "journal", journal * block
    yield "metadata", (layout.overhead_blocks - tables + 1 + maps + taken.symlink_blocks) * block
    yield "directories", (first_files - 1 + taken.directory_blocks) * block
    yield "contents", taken.data_bytes
    yield "rounding", taken.data_blocks * block - taken.data_bytes
    reserved = min(layout.reserved_blocks * block, filesystem.free_bytes)
    yield "reserved", reserved
    yield "free", filesystem.free_bytes - reserved


def _fat(filesystem: FilesystemPlan) -> Iterator[tuple[str, int]]:
    layout = filesystem.fat
    assert layout is not None
    taken = fat_measure.measure(filesystem.manifest)
    clusters = taken.clusters(layout) * layout.cluster_size
    directories = taken.directory_bytes(layout)
    yield "esp-metadata", layout.overhead + directories
    yield "esp-contents", taken.data_bytes
    yield "rounding", clusters - directories - taken.data_bytes
    yield "esp-free", filesystem.free_bytes

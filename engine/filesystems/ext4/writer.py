"""Fills an empty ext file system inside an image: no root, no mount, no staging copy.

The layout of everything is decided from the manifest (`layout`), which writes all metadata. The
data of a folder's file goes to its place as soon as that is known, by processes of their own where
they pay; that of others follows in the order in which the sources give it. The metadata is complete
long before the data, so that whoever reads the image from its first byte can follow
(`engine.filesystems.filedata`). libext2fs does the bookkeeping (`native`). The result is a
function of the empty file system, the manifest and the epoch: the same bytes every time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.ext4.format import BLOCK_SIZE
from engine.filesystems.ext4.inode import InodePacker
from engine.filesystems.ext4.inodetable import InodeTable
from engine.filesystems.ext4.layout import Layout
from engine.filesystems.ext4.measure import Need, measure
from engine.filesystems.ext4.native import Bookkeeping, LibraryError
from engine.filesystems.ext4.superblock import (
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    Superblock,
    UnsupportedFilesystem,
    parse,
    with_times,
)
from engine.filesystems.filedata import FileData
from engine.filesystems.populate import DataObserver, PopulateFailed, Progress, refuse
from engine.filesystems.sink import Sink
from engine.image.whole import read_whole, write_whole
from engine.manifest.manifest import Manifest


def populate(
    image: Path,
    offset: int,
    planned: FilesystemPlan,
    *,
    epoch: int,
    progress: Progress = lambda done, total: None,
    observer: DataObserver | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """See `engine.filesystems.driver.Writer.populate`."""
    fill(
        image, offset, planned.manifest,
        epoch=epoch, progress=progress, observer=observer, cancelled=cancelled,
    )  # fmt: skip


def fill(
    image: Path,
    offset: int,
    manifest: Manifest,
    *,
    epoch: int,
    progress: Progress = lambda done, total: None,
    observer: DataObserver | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Fills the file system that mke2fs has just made at a byte of an image.

    Nothing is synchronised to the storage device. On failure the file system is not to be used: its
    metadata may be complete where data is missing.

    Args:
        image: A regular file; bytes that mke2fs left alone must be zero or unimportant.
        offset: Byte where the file system begins.
        manifest: What goes in; its root entry gives the root directory's owner, mode and time.
        epoch: Seconds since 1970: every access, change and creation time, and the superblock's.
        progress: Called now and then with bytes of data written and in all.
        observer: Takes every piece of data that is written, or its sum.
        cancelled: Asked several times a second.

    Raises:
        PopulateFailed: The file system is too small or cannot hold an entry.
        engine.manifest.entry.SourceChanged: A source is not what was scanned.
        engine.filesystems.populate.Cancelled: `cancelled` said so.
        OSError: Reading a source or writing the image failed.
    """
    descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        _Populate(image, descriptor, offset, manifest, epoch).run(progress, observer, cancelled)
    except (LibraryError, UnsupportedFilesystem) as error:
        raise PopulateFailed(str(error)) from error
    finally:
        os.close(descriptor)


class _Populate:
    """One run, on an open image."""

    def __init__(
        self, image: Path, descriptor: int, offset: int, manifest: Manifest, epoch: int
    ) -> None:
        self._image = image
        self._descriptor = descriptor
        self._offset = offset
        self._manifest = manifest
        self._epoch = epoch

    def run(
        self, progress: Progress, observer: DataObserver | None, cancelled: Callable[[], bool]
    ) -> None:
        superblock = parse(self._superblock(0))
        need = measure(self._manifest, superblock.format)
        for unwritable in need.unwritable:
            raise refuse(unwritable.entry, unwritable.reason)
        packer = InodePacker(
            superblock.checksum_seed, self._epoch, checksums=superblock.format.checksums
        )
        with FileData(
            self._descriptor, self._offset, BLOCK_SIZE,
            files=self._manifest.counts.files, total=need.data_bytes,
            progress=progress, observer=observer, cancelled=cancelled,
        ) as data:  # fmt: skip
            with (
                Bookkeeping(self._image, self._offset) as books,
                Sink(self._descriptor, self._offset, BLOCK_SIZE) as sink,
            ):
                copies = list(books.superblocks())
                table = InodeTable(sink, superblock.inodes_per_group, books.inode_table)
                layout = Layout(self._manifest, need, superblock, books, sink, table, packer)
                table.load(self._descriptor, self._offset, packer)
                layout.write(data.put, cancelled)
            for block in copies:
                self._set_times(block)
            self._check_counts(superblock, need, layout.map_blocks)
            data.finish()

    def _superblock(self, block: int) -> bytes:
        """Reads a copy of the superblock; the first lies behind the boot sectors of block 0."""
        return read_whole(self._descriptor, SUPERBLOCK_SIZE, self._position(block))

    def _set_times(self, block: int) -> None:
        raw = with_times(self._superblock(block), self._epoch)
        write_whole(self._descriptor, raw, self._position(block))

    def _position(self, block: int) -> int:
        return self._offset + (block * BLOCK_SIZE or SUPERBLOCK_OFFSET)

    def _check_counts(self, before: Superblock, need: Need, map_blocks: int) -> None:
        """Holds what was allocated against what the plan counted."""
        after = parse(self._superblock(0))
        used = before.free_blocks - after.free_blocks
        assert before.free_inodes - after.free_inodes == need.inodes
        assert used - map_blocks == need.blocks - need.extent_blocks
        assert need.extent_blocks <= map_blocks <= need.extent_blocks + need.breakable_blocks

"""An opened image: its table, its partitions, and the file systems in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.filesystems.ext4.reader import ExtFilesystem
from engine.filesystems.fat.reader import FatFilesystem
from engine.image.container import BadImage, Disk, open_disk
from engine.image.reading import Window
from engine.image.table import Partition, Table, read_table

AnyFilesystem = ExtFilesystem | FatFilesystem


@dataclass(frozen=True, slots=True)
class Part:
    """A partition, or the whole disk where it has no table.

    Attributes:
        name: What it is called in reports ("partition 2", "disk").
        filesystem: What is in it, if a reader knows it.
        trouble: Why a file system that is there can't be read.
    """

    name: str
    partition: Partition | None
    window: Window
    filesystem: AnyFilesystem | None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Image:
    """An opened image. Close its disk when done."""

    path: Path
    disk: Disk
    table: Table
    parts: tuple[Part, ...]


def open_image(path: Path) -> Image:
    """Opens an image of any supported container and finds what is in it.

    Raises:
        BadImage: Its container is damaged.
        OSError: It cannot be read.
    """
    disk = open_disk(path)
    try:
        table = read_table(disk)
        return Image(path, disk, table, tuple(_parts(disk, table)))
    except BaseException:
        disk.close()
        raise


def filesystem_in(window: Window) -> tuple[AnyFilesystem | None, str]:
    """Returns the file system in a window, or None and why it can't be read."""
    if window.size < 4096:
        return None, ""
    try:
        if window.read(1024 + 0x38, 2) == b"\x53\xef":
            return ExtFilesystem(window), ""
        if window.read(510, 2) == b"\x55\xaa" and b"FAT" in window.read(0, 96):
            return FatFilesystem(window), ""
    except (BadImage, struct.error) as error:
        return None, str(error)
    return None, ""


def _parts(disk: Disk, table: Table) -> Iterator[Part]:
    if table.kind == "none":
        window = Window(disk, 0, disk.size)
        yield Part("disk", None, window, *filesystem_in(window))
        return
    left = disk.size
    for partition in table.partitions:
        start = partition.start * table.sector_size
        size = min(partition.sectors * table.sector_size, disk.size - start)
        if size > 0:
            window = Window(disk, start, size)
            found, trouble = filesystem_in(window)
            # Tables are read whole to count what is free: no byte shall be in many of them.
            left -= found.table_size if isinstance(found, FatFilesystem) else 0
            if left < 0:
                found, trouble = None, "its FAT lies where those of other partitions lie"
            yield Part(f"partition {partition.number}", partition, window, found, trouble)

"""An opened image: its table, its partitions, and the file systems in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.filesystems.table import probe
from engine.image.container import Disk, open_disk
from engine.image.reading import Content, Filesystem, Window, holds_files
from engine.image.table import Partition, Table, read_table


@dataclass(frozen=True, slots=True)
class Part:
    """A partition, or the whole disk where it has no table.

    Attributes:
        name: What it is called in reports ("partition 2", "disk").
        content: What is in it, if a reader knows it.
        trouble: Why a content that is there can't be read.
    """

    name: str
    partition: Partition | None
    window: Window
    content: Content | None
    trouble: str = ""

    @property
    def filesystem(self) -> Filesystem | None:
        """Its content, if that holds files."""
        return self.content if holds_files(self.content) else None


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


def _parts(disk: Disk, table: Table) -> Iterator[Part]:
    if table.kind == "none":
        window = Window(disk, 0, disk.size)
        yield Part("disk", None, window, *probe(window))
        return
    left = disk.size
    for partition in table.partitions:
        start = partition.start * table.sector_size
        size = min(partition.sectors * table.sector_size, disk.size - start)
        if size > 0:
            window = Window(disk, start, size)
            found, trouble = probe(window)
            # Tables are read whole to count what is free: no byte may be in many of them.
            left -= getattr(found, "table_size", 0)
            if left < 0:
                found, trouble = None, "its FAT is where those of other partitions are"
            yield Part(f"partition {partition.number}", partition, window, found, trouble)

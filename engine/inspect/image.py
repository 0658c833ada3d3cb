"""An opened image: its table, its partitions, and the file systems in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.filesystems.table import copied, probe
from engine.image.container import BadImage, Disk, open_disk
from engine.image.identify import Foreign, identify
from engine.image.reading import Content, Filesystem, Window, holds_files
from engine.image.signatures import SIGNATURES, Signature
from engine.image.table import Partition, Table, read_table
from engine.spec.filesystems import FILESYSTEMS

_AROUND = tuple(row for row in SIGNATURES if row.key in {"iso9660", "udf", "mac"})
"""What a disk can be along with a table of partitions: hybrid images are."""


@dataclass(frozen=True, slots=True)
class Part:
    """A partition, or the whole disk where it has no table.

    Attributes:
        name: What it is called in reports ("partition 2", "disk").
        content: What is in it, if a reader knows it.
        trouble: Why a content that is there can't be read.
        foreign: What is in it, if no reader knows its files and its magic number is known.
    """

    name: str
    partition: Partition | None
    window: Window
    content: Content | None
    trouble: str = ""
    foreign: Foreign | None = None

    @property
    def filesystem(self) -> Filesystem | None:
        """Its content, if that holds files."""
        return self.content if holds_files(self.content) else None

    @property
    def recognised(self) -> bool:
        """Whether it is known what is in it, sound or not."""
        return self.content is not None or bool(self.trouble) or self.foreign is not None

    @property
    def unread(self) -> str:
        """What keeps its files from being read, in a sentence; "" where nothing does."""
        if self.filesystem is not None:
            return ""
        if self.trouble or self.foreign is not None:
            return self.trouble or (self.foreign.sentence if self.foreign else "")
        if self.content is not None:
            return f"{self.content.type} holds no files"
        return "no file system known here"


@dataclass(frozen=True, slots=True)
class Image:
    """An opened image. Close its disk when done.

    Attributes:
        around: What the disk as a whole is besides its table, and is not read here.
    """

    path: Path
    disk: Disk
    table: Table
    parts: tuple[Part, ...]
    around: Foreign | None = None


def open_image(path: Path) -> Image:
    """Opens an image of any supported container and finds what is in it.

    Raises:
        BadImage: Its container is damaged.
        OSError: It cannot be read.
    """
    disk = open_disk(path)
    try:
        table = read_table(disk)
        around = None if table.kind == "none" else _identified(Window(disk, 0, disk.size), _AROUND)
        return Image(path, disk, table, tuple(_parts(disk, table)), around)
    except BaseException:
        disk.close()
        raise


def _parts(disk: Disk, table: Table) -> Iterator[Part]:
    if table.kind == "none":
        window = Window(disk, 0, disk.size)
        found, trouble = probe(window)
        yield _part("disk", None, window, found, trouble)
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
            yield _part(f"partition {partition.number}", partition, window, found, trouble)


def _part(
    name: str, partition: Partition | None, window: Window, found: Content | None, trouble: str
) -> Part:
    """Returns a part with what is known of it where no reader knows it, or not all of it."""
    foreign = None if trouble else _foreign(window, found)
    if found is None and foreign is None and not trouble:
        trouble = copied(window)
    return Part(name, partition, window, found, trouble, foreign)


def _foreign(window: Window, content: Content | None) -> Foreign | None:
    """Returns what a window holds, if no reader knows it, or knows no more than its superblock."""
    if content is None or (FILESYSTEMS[content.type].files and not holds_files(content)):
        return _identified(window, SIGNATURES)
    return None


def _identified(window: Window, rows: Sequence[Signature]) -> Foreign | None:
    try:
        return identify(window, rows)
    except BadImage:
        return None  # the container is damaged there: who reads the bytes is told

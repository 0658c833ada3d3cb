"""Plans, writes and reads one file system in an image, as a build does."""

from __future__ import annotations

from pathlib import Path

from engine.filesystems import table
from engine.filesystems.driver import FilesystemPlan, Request
from engine.image.container.disk import RawDisk
from engine.image.reading import Content, Window
from engine.manifest.datasums import DataSums
from engine.manifest.manifest import Manifest
from engine.pipeline.readback import differences

EPOCH = 1_700_000_000
OFFSET = 1 << 20
"""Of the file system in the image; around it lies something else."""
UUID = "97fd5997-d90b-4aa3-8d16-0c1723aea73c"
AROUND = b"\xa5" * 4096


def plan(key: str, manifest: Manifest, *, label: str = "a label") -> FilesystemPlan:
    """Returns the smallest file system of a format."""
    request = Request(manifest=manifest, label=label, uuid=UUID)
    return table.DRIVERS[key].least(request).filesystem


def write(image: Path, planned: FilesystemPlan, *, epoch: int = EPOCH) -> DataSums:
    """Makes an image with the file system in its midst and returns the sums of what went in."""
    sums = DataSums()
    with image.open("wb") as file:
        file.write(AROUND)
        file.truncate(OFFSET + planned.size)
        file.seek(OFFSET - len(AROUND))
        file.write(AROUND)
        file.seek(OFFSET + planned.size)
        file.write(AROUND)
    writer = table.writer(planned.type)
    writer.make(image, OFFSET, planned, epoch=epoch)
    writer.populate(image, OFFSET, planned, epoch=epoch, observer=sums)
    with image.open("rb") as file:
        assert file.read(len(AROUND)) == AROUND
        file.seek(OFFSET - len(AROUND))
        assert file.read(len(AROUND)) == AROUND
        file.seek(OFFSET + planned.size)
        assert file.read() == AROUND
    return sums


def alone(image: Path, planned: FilesystemPlan) -> Path:
    """Returns a copy of the file system alone, for programs that know no offset."""
    copy = image.with_suffix(".alone")
    with image.open("rb") as file:
        file.seek(OFFSET)
        copy.write_bytes(file.read(planned.size))
    return copy


def opened(disk: RawDisk, size: int) -> Content:
    """Returns what our reader finds in the image."""
    content, trouble = table.probe(Window(disk, OFFSET, size))
    assert content is not None, trouble
    return content


def read_back(image: Path, planned: FilesystemPlan, sums: DataSums) -> list[str]:
    """Returns how what our reader finds differs from what was planned and written."""
    with RawDisk(image) as disk:
        content = opened(disk, planned.size)
        return differences(content, planned, sums.of(planned.manifest), lambda: False)

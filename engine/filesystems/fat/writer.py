"""Makes and fills a FAT file system inside an image: no root, no mount, no tool.

The layout of everything is decided first (`layout`); then all metadata is written, and the data
as it comes from its sources. The result is a function of geometry, manifest, label, volume id and
epoch: the same bytes every time.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.filesystems.driver import FilesystemPlan
from engine.filesystems.fat.format import Volume
from engine.filesystems.fat.geometry import FatGeometry
from engine.filesystems.fat.layout import Layout
from engine.filesystems.fat.measure import original
from engine.filesystems.populate import (
    REPORT_EVERY,
    Cancelled,
    DataObserver,
    Expected,
    Progress,
    changed,
    refuse,
)
from engine.filesystems.sink import Sink
from engine.manifest.entry import Entry, Source
from engine.manifest.manifest import Manifest

# Copies of a file may come piece by piece in turn, so that no two pieces may share what is padded.
_NOTHING_PADDED = 1
_EMPTY = Manifest([Entry(b"", stat.S_IFDIR | 0o755)])


def make(
    image: Path,
    offset: int,
    planned: FilesystemPlan,
    *,
    epoch: int,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Makes it empty: an installer may still decide what goes in. See `Writer.make`."""
    make_empty(image, offset, planned.layout.geometry, _volume(offset, planned, epoch))


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
        image, offset, planned.layout.geometry, _volume(offset, planned, epoch), planned.manifest,
        progress=progress, observer=observer, cancelled=cancelled,
    )  # fmt: skip


def _volume(offset: int, planned: FilesystemPlan, epoch: int) -> Volume:
    return Volume(
        label=planned.label,
        volume_id=int(planned.uuid.replace("-", ""), 16),
        epoch=epoch,
        hidden_sectors=offset // planned.layout.geometry.sector_size,
    )


def make_empty(image: Path, offset: int, geometry: FatGeometry, volume: Volume) -> None:
    """Makes an empty file system at a byte of an image; see `fill`."""
    fill(image, offset, geometry, volume, _EMPTY)


def fill(
    image: Path,
    offset: int,
    geometry: FatGeometry,
    volume: Volume,
    manifest: Manifest,
    *,
    progress: Progress = lambda done, total: None,
    observer: DataObserver | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> None:
    """Makes a file system that holds a manifest at a byte of an image.

    The image must be zero there, or hold what `make_empty` left with the same geometry. What stays
    zero is not written, so that it stays a hole. Nothing is synchronised to the storage device.
    On failure the file system is left unusable.

    Args:
        image: A regular file that reaches to the file system's end.
        offset: Byte where the file system begins.
        geometry: Its layout.
        volume: What it says of itself.
        manifest: What goes in. Owners, extended attributes and modes but for the write bit are
            left out; hard links become copies, holes zeros.
        progress: Called now and then with bytes of data written and in all.
        observer: Takes every piece of data that is read, once whatever its names.
        cancelled: Asked several times a second.

    Raises:
        PopulateFailed: The file system is too small or cannot hold an entry; nothing is written.
        ValueError: The label cannot be one; nothing is written.
        engine.manifest.entry.SourceChanged: A source is not what was scanned.
        engine.filesystems.populate.Cancelled: `cancelled` said so.
        OSError: Reading a source or writing the image failed.
    """
    layout = Layout(geometry, manifest, volume)
    descriptor = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        with Sink(descriptor, offset, _NOTHING_PADDED) as sink:
            for position, data in layout.metadata():
                sink.write(position, data)
                if cancelled():
                    raise Cancelled
            _write_data(manifest, layout, sink, progress, observer, cancelled)
    finally:
        os.close(descriptor)


def _write_data(
    manifest: Manifest,
    layout: Layout,
    sink: Sink,
    progress: Progress,
    observer: DataObserver | None,
    cancelled: Callable[[], bool],
) -> None:
    """Writes the data of all files, in the order of their sources, to each of its places."""
    done = reported = 0
    total = sum(original(entry).size for entry in manifest if entry.is_regular)
    for source, files in _by_source(manifest):
        missing = {id(entry): Expected(entry) for entry in files}
        for entry, offset, data in source.stream(files):
            expected = missing.get(id(entry))
            if expected is None:
                raise changed(entry, "data where there was none")
            expected.take(offset, len(data))
            if expected.complete:
                del missing[id(entry)]
            places = layout.places.get(id(entry), ())
            for place in places:
                sink.write(place + offset, data)
            if observer is not None:
                observer.take(entry, offset, data)
            done += len(data) * len(places)
            if done - reported >= REPORT_EVERY:
                progress(done, total)
                reported = done
            if cancelled():
                raise Cancelled
        for expected in missing.values():
            expected.finish()
    progress(total, total)


def _by_source(manifest: Manifest) -> Iterable[tuple[Source, list[Entry]]]:
    """Returns the entries that have data, each once, by the source that has it."""
    found: dict[int, tuple[Source, list[Entry]]] = {}
    entries = {id(first): first for first in map(original, manifest) if first.is_regular}
    for entry in entries.values():
        if entry.source is not None:
            found.setdefault(id(entry.source), (entry.source, []))[1].append(entry)
        elif entry.size:
            raise refuse(entry, "a file with data but without a source")
    return found.values()

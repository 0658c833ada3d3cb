"""What a process of `copiers` runs: reads files, sums them up and writes them to their places.

It takes batches on standard input and answers on standard output, each message a marshalled tuple
of plain values. It ends where its input does: with whoever started it. It imports little, as
there is one for each processor.
"""

from __future__ import annotations

import marshal
import os
import signal
import stat
import sys
from hashlib import sha256
from typing import Literal, NamedTuple

from engine.filesystems.placed import Place, write_source
from engine.filesystems.populate import REPORT_EVERY
from engine.filesystems.sink import Sink
from engine.image.whole import write_whole
from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.folder import Bare, FolderSource, Reader
from engine.packed import numbers
from engine.tools.messages import receive, send

PLAIN = 512 << 10
"""Bytes of the largest file that is read by one call."""
_WRITE = 256 << 10
"""Bytes that are written by one call (see `engine.filesystems.sink`)."""
_BUFFER = _WRITE + PLAIN + (64 << 10)
"""Whole blocks of any size have room."""

_NICE = 3
"""Of priority given up: who lays out, or hashes the image behind these, is who others wait for."""

Plain = tuple[bytes, bytes, bytes, bytes]
"""Files of at most `PLAIN` bytes without holes, in one piece: their paths in the image with NUL
between them, and 8 bytes each of their sizes, stamps and first blocks (0 of those without data)."""

File = tuple[bytes, int, tuple[tuple[int, int], ...] | None, object, Place | None]
"""Path in the image, size, extents and stamp of an entry, and the place of its data."""

Answer = (
    tuple[Literal["bytes"], int]
    | tuple[Literal["done"], int, bytes]
    | tuple[Literal["changed", "fault"], str]
    | tuple[Literal["failed"], int | None, str | None, str | None]
)
"""Bytes written since the last answer; a batch done, with the sums of its files; how it failed."""


def main() -> None:
    """Serves the process that started this one.

    Its arguments are descriptor, origin, block size, and whether sums are wanted.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the build, which ends this
    os.nice(_NICE)
    descriptor, origin, block_size, summed = map(int, sys.argv[1:])
    sources: dict[int, FolderSource] = {}
    image = _Image(descriptor, origin, block_size, memoryview(bytearray(_BUFFER)))
    try:
        while (batch := _receive()) is not None:
            index, source, plain, others = batch
            if source is not None:
                sources[index] = FolderSource.of(source)
            try:
                done, digests = _copy_plain(sources[index], plain, image, summed=bool(summed))
                if others:
                    more, theirs = _copy_any(sources[index], others, image, summed=bool(summed))
                    done, digests = done + more, digests + theirs
                _send(("done", done, b"".join(digests)))
            except SourceChanged as error:
                _send(("changed", str(error)))
            except OSError as error:
                _send(("failed", error.errno, error.strerror, error.filename))
            except Exception:
                import traceback

                _send(("fault", traceback.format_exc()))
    except BrokenPipeError:
        os._exit(1)  # nobody is left to be told


def _copy_plain(
    source: FolderSource, files: Plain, image: _Image, *, summed: bool
) -> tuple[int, list[bytes]]:
    """Copies files, each read to where it is written from; returns their bytes, and their sums."""
    paths, (sizes, stamps, places) = files[0], (numbers("q", column) for column in files[1:])
    digests: list[bytes] = []
    if not sizes:
        return 0, digests
    view, block_size = image.buffer, image.block_size
    zeros = bytes(block_size)
    start = used = 0
    with Reader(source, paths.partition(b"\0")[0]) as reader:
        fill = reader.fill
        for path, size, stamp, place in zip(paths.split(b"\0"), sizes, stamps, places, strict=True):
            begin = place * block_size
            if size and (begin != start + used or used >= _WRITE):
                image.write(start, used)
                start, used = begin, 0
            end = used + size
            piece = view[used:end]
            fill(path, stamp, piece)
            if summed:
                digests.append(sha256(piece).digest())
            if size:
                used = end + -size % block_size
                view[end:used] = zeros[: used - end]
    image.write(start, used)
    return sum(sizes), digests


def _copy_any(
    source: FolderSource, files: list[File], image: _Image, *, summed: bool
) -> tuple[int, list[bytes]]:
    """Copies files of any kind; returns the bytes not yet reported, and their sums."""
    entries: list[Entry] = []
    places: dict[int, Place] = {}
    for path, size, extents, stamp, place in files:
        entry = Entry(
            path, stat.S_IFREG, size=size, extents=extents, stamp=stamp, source=source
        )  # fmt: skip
        entries.append(entry)
        if place:
            places[id(entry)] = place
    done = 0
    sums = DataSums()

    def took(entry: Entry, offset: int, data: memoryview) -> None:
        nonlocal done
        if summed:
            sums.take(entry, offset, data)
        done += len(data)
        if done >= REPORT_EVERY:
            _send(("bytes", done))
            done = 0

    with Sink(image.descriptor, image.origin, image.block_size, threaded=False) as sink:
        write_source(source, entries, places, sink, took)
    if not summed:
        return done, []
    found = sums.of(entries)
    return done, [found[id(entry)] for entry in entries]


class _Image(NamedTuple):
    """Where files go.

    Attributes:
        descriptor: The image.
        origin: Byte of it where the file system begins.
        block_size: Of that.
        buffer: Of `_BUFFER` bytes, which is there once for all.
    """

    descriptor: int
    origin: int
    block_size: int
    buffer: memoryview

    def write(self, start: int, used: int) -> None:
        """Writes the beginning of the buffer to a byte of the file system."""
        for at in range(0, used, _WRITE):
            piece = self.buffer[at : min(at + _WRITE, used)]
            write_whole(self.descriptor, piece, self.origin + start + at)


def _receive() -> tuple[int, Bare | None, Plain, list[File]] | None:
    """Returns the next message, or None at the end."""
    data = receive(sys.stdin.buffer)
    if data is None:
        return None
    batch: tuple[int, Bare | None, Plain, list[File]] = marshal.loads(data)  # noqa: S302 # from copiers
    return batch


def _send(message: Answer) -> None:
    send(1, marshal.dumps(message))

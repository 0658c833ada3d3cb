"""What a process of `copiers` runs: reads files, sums them up and writes them to their places.

It takes batches on standard input and answers on standard output, each message a pickle of plain
values. It ends where its input does: with whoever started it.
"""

from __future__ import annotations

import os
import pickle
import signal
import stat
import sys
import traceback
from hashlib import sha256
from typing import Literal

from engine.filesystems.placed import Place, write_source
from engine.filesystems.populate import REPORT_EVERY
from engine.filesystems.sink import Sink
from engine.image.whole import write_whole
from engine.manifest.datasums import DataSums
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.folder import FolderSource, Reader
from engine.tools.messages import receive, send

_PLAIN = 256 << 10
"""Bytes of a file that is read by one call, and of what is written by one."""
_BUFFER = _PLAIN + (64 << 10)
"""Whole blocks of any size have room."""

File = tuple[bytes, int, tuple[tuple[int, int], ...] | None, object, Place | None]
"""Path in the image, size, extents and stamp of an entry, and the place of its data."""

Answer = (
    tuple[Literal["bytes"], int]
    | tuple[Literal["done"], int, list[bytes]]
    | tuple[Literal["changed", "fault"], str]
    | tuple[Literal["failed"], int | None, str | None, str | None]
)
"""Bytes written since the last answer; a batch done, with the sums of its files; how it failed."""


def main() -> None:
    """Serves the process that started this one.

    Its arguments are descriptor, origin, block size, and whether sums are wanted.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the build, which ends this
    descriptor, origin, block_size, summed = map(int, sys.argv[1:])
    sources: dict[int, FolderSource] = {}
    try:
        while (batch := _receive()) is not None:
            index, source, files = batch
            if source is not None:
                sources[index] = source
            try:
                sums = DataSums() if summed else None
                with Sink(descriptor, origin, block_size, threaded=False) as sink:
                    answer = _copy(sources[index], files, sink, sums)
                _send(("done", *answer))
            except SourceChanged as error:
                _send(("changed", str(error)))
            except OSError as error:
                _send(("failed", error.errno, error.strerror, error.filename))
            except Exception:
                _send(("fault", traceback.format_exc()))
    except BrokenPipeError:
        os._exit(1)  # nobody is left to be told


def _copy(
    source: FolderSource, files: list[File], sink: Sink, sums: DataSums | None
) -> tuple[int, list[bytes]]:
    """Copies a batch; returns the bytes not yet reported, and each file's sum where wanted."""
    plain = [file for file in files if _is_plain(file)]
    done, digests = _copy_plain(source, plain, sink, summed=sums is not None)
    if len(plain) < len(files):
        others = [file for file in files if not _is_plain(file)]
        more, theirs = _copy_any(source, others, sink, sums)
        done += more
        both = iter(digests), iter(theirs)
        digests = [next(both[not _is_plain(file)]) for file in files] if sums is not None else []
    return done, digests


def _is_plain(file: File) -> bool:
    """Whether a file is read by one call and lies in one piece, as most do."""
    _, size, extents, _, place = file
    return extents is None and size <= _PLAIN and (isinstance(place, int) or not size)


def _copy_plain(
    source: FolderSource, files: list[File], sink: Sink, *, summed: bool
) -> tuple[int, list[bytes]]:
    """Does as `_copy` with plain files: each is read to where it is written from."""
    digests: list[bytes] = []
    if not files:
        return 0, digests
    view, zeros, block_size = (
        memoryview(bytearray(_BUFFER)),
        bytes(sink.block_size),
        sink.block_size,
    )
    start = used = done = 0
    with Reader(source, files[0][0]) as reader:
        for path, size, _, stamp, place in files:
            assert not isinstance(place, list)
            begin = (place or 0) * block_size
            if size and (begin != start + used or used + size > _PLAIN):
                write_whole(sink.descriptor, view[:used], sink.origin + start)
                start, used = begin, 0
            end = used + size
            piece = view[used:end]
            reader.fill(path, stamp, piece)
            if summed:
                digests.append(sha256(piece).digest())
            if size:
                used = end + -size % block_size
                view[end:used] = zeros[: used - end]
                done += size
    write_whole(sink.descriptor, view[:used], sink.origin + start)
    return done, digests


def _copy_any(
    source: FolderSource, files: list[File], sink: Sink, sums: DataSums | None
) -> tuple[int, list[bytes]]:
    """Does as `_copy` with files of any kind."""
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

    def took(entry: Entry, offset: int, data: memoryview) -> None:
        nonlocal done
        if sums is not None:
            sums.take(entry, offset, data)
        done += len(data)
        if done >= REPORT_EVERY:
            _send(("bytes", done))
            done = 0

    write_source(source, entries, places, sink, took)
    if sums is None:
        return done, []
    found = sums.of(entries)
    return done, [found[id(entry)] for entry in entries]


def _receive() -> tuple[int, FolderSource | None, list[File]] | None:
    """Returns the next message, or None at the end."""
    data = receive(sys.stdin.buffer)
    if data is None:
        return None
    batch: tuple[int, FolderSource | None, list[File]] = pickle.loads(data)  # noqa: S301 # from copiers
    return batch


def _send(message: Answer) -> None:
    send(1, pickle.dumps(message))

"""An image as what is to be on a disk: its size, its table, its bytes from first to last."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from engine.image.container import BadImage, Disk, open_disk, open_file
from engine.image.container.foreign import HEAD, describe
from engine.image.table import Table, read_table
from engine.manifest.compressed import CORRUPT, Descriptor, form_of, unpacked
from engine.units import MIB

CHUNK = MIB
"""Bytes that are read, compared and skipped as one."""
_ZEROS = bytes(CHUNK)

Cancelled = Callable[[], bool]
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """What an image puts on a disk.

    Attributes:
        path: The image.
        format: Of its file: a container's (qemu-img's name) or a compression's.
        size: Bytes of the disk.
        table: Its partition table.
        head: The first bytes of the disk, `CHUNK` at most.
        pieces: Yields the disk's chunks in order, None for one that is zeros; the last may be
            short. It may be called again.
        packed: Whether it is unpacked on the way.
        tail: What is to be behind the image: byte of the disk, and what stands there.
    """

    path: Path
    format: str
    size: int
    table: Table
    head: bytes
    pieces: Callable[[], Iterator[bytes | None]]
    packed: bool = False
    tail: tuple[tuple[int, bytes], ...] = ()


def open_payload(path: Path, report: Report, cancelled: Cancelled) -> Payload:
    """Opens an image of any format that is read here.

    A compressed one is unpacked to its end, for its size and to see that it is sound before a
    disk loses what it has.

    Raises:
        BadImage: It is damaged, or of a format that is not read; the message has the command.
        OSError: It cannot be read.
        InterruptedError: It was cancelled.
    """
    with os.fdopen(open_file(path), "rb") as file:
        head = file.read(HEAD)
    if form_of(head):
        return _compressed(path, form_of(head), head, report, cancelled)
    with open_disk(path) as disk:
        first = disk.read(0, min(CHUNK, disk.size))
        table = read_table(disk)
        size, kind = disk.size, disk.format
    if not size:
        raise BadImage(f"{path.name} is empty")

    def pieces() -> Iterator[bytes | None]:
        with open_disk(path) as again:
            if again.size != size:
                raise BadImage(f"{path.name} changed while it was read")
            yield from _chunks(again)

    return Payload(path=path, format=kind, size=size, table=table, head=first, pieces=pieces)


def _chunks(disk: Disk) -> Iterator[bytes | None]:
    """Yields the chunks of a disk; what is not allocated is not read."""
    ranges = disk.allocated()
    begun, length = next(ranges, (disk.size, 0))
    for at in range(0, disk.size, CHUNK):
        end = min(at + CHUNK, disk.size)
        while begun + length <= at and begun < disk.size:
            begun, length = next(ranges, (disk.size, 0))
        yield None if begun >= end else _or_none(disk.read(at, end - at))


def _or_none(data: bytes) -> bytes | None:
    return None if is_zero(data) else data


def is_zero(data: bytes | memoryview) -> bool:
    """Whether a chunk has nothing but zeros."""
    return data == (_ZEROS if len(data) == CHUNK else bytes(len(data)))


class _Unpacked(Disk):
    """As much of a compressed disk as tells its table."""

    format = "raw"

    def __init__(self, head: bytes, size: int) -> None:
        self.path = Path("head")
        self._head = head
        self._left = None
        self.size = size

    def _read(self, offset: int, length: int) -> bytes:
        return self._head[offset : offset + length].ljust(length, b"\0")

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Yields the head."""
        yield 0, len(self._head)


def _compressed(
    path: Path, form: str, packed: bytes, report: Report, cancelled: Cancelled
) -> Payload:
    size = 0
    first = b""
    for piece in _unpack(path):
        if cancelled():
            raise InterruptedError
        if not size:
            first = piece
            _refuse_container(path, form, packed, first)
        size += len(piece)
        report(size, 0)
    if not size:
        raise BadImage(f"{path.name} is empty once it is unpacked")
    table = read_table(_Unpacked(first, size))
    kept = tuple(found for found in table.findings if "backup" not in found)  # not in the head
    return Payload(
        path=path, format=form, size=size, table=replace(table, findings=kept), head=first,
        pieces=lambda: map(_or_none, _unpack(path)), packed=True,
    )  # fmt: skip


def _unpack(path: Path) -> Iterator[bytes]:
    """Yields what a compressed file holds, in chunks; only the last may be short."""
    stream = unpacked(Descriptor(open_file(path)))
    buffer = memoryview(bytearray(CHUNK))
    try:
        filled = CHUNK
        while filled == CHUNK:
            filled = 0
            while filled < CHUNK and (got := stream.readinto(buffer[filled:])):
                filled += got
            if filled:
                yield bytes(buffer[:filled])
    except CORRUPT as error:
        raise BadImage(f"{path.name} is damaged: {error}") from error
    finally:
        stream.close()


def _refuse_container(path: Path, form: str, packed: bytes, first: bytes) -> None:
    """Raises BadImage where what is compressed is not a raw disk."""
    described = describe(path, packed)
    inner = describe(path.with_suffix(""), first[:HEAD])
    name = shlex.quote(str(path))
    if described is not None and "tar archive" in described:
        raise BadImage(f"{path.name} {described}")
    if first[257:262] == b"ustar":
        raise BadImage(f"{path.name} is a tar archive compressed by {form}: unpack it first")
    if first[:4] == b"QFI\xfb" or first[64:68] == b"\x7f\x10\xda\xbe" or inner is not None:
        unpack = {"gzip": "gzip -dk", "zstd": "zstd -d", "xz": "xz -dk", "bzip2": "bzip2 -dk"}
        command = f"{unpack.get(form, 'unlzma -k')} {name}"
        raise BadImage(
            f"{path.name} is compressed by {form}, and what is in it is not a raw disk: unpack it "
            f"with `{command}`, and name the result"
        )

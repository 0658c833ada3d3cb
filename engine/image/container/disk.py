"""What every container offers: bytes by offset, and which of them may differ from zero.

Containers come from anywhere, so each figure of a header is checked before it is used: nothing
read here can make a reader allocate more than a few mebibytes or loop without end.
"""

from __future__ import annotations

import errno
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from engine.units import in_bytes

MAX_READ = 1 << 26
"""Bytes that one `read` may ask for."""
_COST = 1 << 10
"""Bytes that one `read` counts for on top of its own: small ones take longer than their bytes."""


class BadImage(ValueError):
    """The file is not an image that can be read; the message says why."""


class Disk(ABC):
    """A disk of `size` bytes in a container of a `format` (qemu-img's name).

    Attributes:
        findings: What is wrong with the container and does not keep it from being read.
    """

    format: str
    size: int
    findings: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = open_file(path)
        self.file_size = os.lseek(self._fd, 0, os.SEEK_END)
        self._left: int | None = None

    def close(self) -> None:
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes of the disk; what is not allocated reads as zeros.

        Raises:
            BadImage: The range does not lie in the disk, or the container is damaged there.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise BadImage(
                f"{self.path.name}: bytes {offset} to {offset + length} are outside the disk of "
                f"{in_bytes(self.size)}"
            )
        self.spend(length + _COST)
        if length > MAX_READ:
            raise BadImage(
                f"{self.path.name}: {in_bytes(length)} asked for at once, {MAX_READ:,} at most"
            )
        return self._read(offset, length)

    @contextmanager
    def at_most(self, cost: int) -> Iterator[None]:
        """Lets what is done inside read so much, and no more; what asks for more is refused.

        An image that is not trusted can have a reader go through the same bytes without end.

        Args:
            cost: In bytes, as `spend` counts.
        """
        before, self._left = self._left, cost
        try:
            yield
        finally:
            self._left = before

    def spend(self, cost: int) -> None:
        """Counts what reading takes: a byte each, more where a byte takes long to make sense of.

        Raises:
            BadImage: There is no more than `at_most` allows.
        """
        if self._left is not None:
            self._left -= cost
            if self._left < 0:
                raise BadImage(f"{self.path.name}: gave up after reading much; more is not known")

    @abstractmethod
    def _read(self, offset: int, length: int) -> bytes:
        """Returns bytes of a range that lies in the disk."""

    @abstractmethod
    def allocated(self) -> Iterator[tuple[int, int]]:
        """Yields ranges (offset, length) that may hold data, rising, without overlap."""

    def _file(self, offset: int, length: int) -> bytes:
        """Returns bytes of the container file, zeros past its end."""
        if offset < 0 or offset >= self.file_size:
            return bytes(length)
        data = os.pread(self._fd, length, offset)
        while len(data) < length:
            more = os.pread(self._fd, length - len(data), offset + len(data))
            if not more:
                return data.ljust(length, b"\0")
            data += more
        return data


class RawDisk(Disk):
    """A raw image: the file is the disk."""

    format = "raw"

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.size = self.file_size

    def _read(self, offset: int, length: int) -> bytes:
        return self._file(offset, length)

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Yields the file's data ranges (lseek(2), SEEK_DATA)."""
        at = 0
        while at < self.size:
            try:
                start = os.lseek(self._fd, at, os.SEEK_DATA)
                end = os.lseek(self._fd, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                # A file system without holes: everything may be data.
                yield at, self.size - at
                return
            yield start, end - start
            at = end


class ClusteredDisk(Disk):
    """A container that maps clusters of the disk to places in the file."""

    cluster: int

    @abstractmethod
    def piece(self, index: int, inside: int, length: int) -> bytes | None:
        """Returns bytes of a cluster from `inside` on, or None where it reads as zeros.

        Nothing else of it is read: clusters have up to 64 MiB, and readers ask for a block.
        """

    @abstractmethod
    def clusters(self) -> Iterator[int]:
        """Yields the indices of clusters that may hold data, rising.

        Raises:
            BadImage: There are more than the file has room for.
        """

    def _stored(self, offset: int, length: int) -> bytes:
        """Returns bytes of the file that are there, at least the first.

        Raises:
            BadImage: It begins past the end: the file was cut short.
        """
        if offset >= self.file_size:
            raise BadImage(
                f"{self.path.name} is cut short: it ends at byte {self.file_size}, before what is "
                f"to be at {offset}"
            )
        return self._file(offset, length)

    def _check_room(self, clusters: int) -> None:
        """Refuses clusters that share places in the file: a small one could be read for ever."""
        if clusters * self.cluster > self.file_size + self.cluster:
            raise BadImage(
                f"{self.path.name}: {clusters} clusters of {self.cluster} bytes do not fit in "
                f"{self.file_size}: it is cut short or damaged"
            )

    def _read(self, offset: int, length: int) -> bytes:
        pieces = []
        end = offset + length
        while offset < end:
            index, inside = divmod(offset, self.cluster)
            take = min(self.cluster - inside, end - offset)
            data = self.piece(index, inside, take)
            pieces.append(bytes(take) if data is None else data)
            offset += take
        return b"".join(pieces)

    def allocated(self) -> Iterator[tuple[int, int]]:
        """Yields runs of adjacent clusters that may hold data."""
        start = end = 0
        for index in self.clusters():
            if index != end:
                if end > start:
                    yield start * self.cluster, (end - start) * self.cluster
                start = index
            end = index + 1
        if end > start:
            yield start * self.cluster, min(end * self.cluster, self.size) - start * self.cluster


def open_file(path: Path) -> int:
    """Opens what may be an image for reading, and never waits for a writer of a FIFO.

    Raises:
        BadImage: It is neither a regular file nor a block device.
        OSError: It cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    kind = os.fstat(handle).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISBLK(kind)):
        os.close(handle)
        what = "a folder" if stat.S_ISDIR(kind) else "neither a file nor a disk"
        raise BadImage(
            f"{path.name or path} is {what}" + (", not an image" if stat.S_ISDIR(kind) else "")
        )
    return handle


def open_disk(path: Path) -> Disk:
    """Opens an image of any supported container, told apart by its magic numbers.

    Raises:
        BadImage: Its header is damaged or asks for something unsupported.
        OSError: It cannot be read.
    """
    from engine.image.container import foreign, qcow2, vdi, vhd

    with os.fdopen(open_file(path), "rb") as file:
        head = file.read(foreign.HEAD)
        file.seek(0, os.SEEK_END)
        size = file.tell()
        file.seek(max(size - 512, 0))
        foot = file.read(512)
    if head[:4] == qcow2.MAGIC and head[4:8] != foreign.ORIGINAL_QCOW:
        return qcow2.Qcow2Disk(path)
    if head[64:68] == vdi.MAGIC:
        return vdi.VdiDisk(path)
    if head[:8] == vhd.COOKIE or foot[:8] == vhd.COOKIE:
        return vhd.open_vhd(path)
    described = foreign.describe(path, head, foot)
    if described is not None:
        raise BadImage(f"{path.name} {described}")
    return RawDisk(path)

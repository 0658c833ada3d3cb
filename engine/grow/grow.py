"""A larger image beside the one there is, checked, and then in its place.

The image itself is only read. The volume is copied out, its file system grown by resize2fs and
checked by e2fsck; the new disk is put together from both, read back, synced, and takes the name in
one rename(2). Holes stay holes, and a file system that shares blocks (Btrfs, XFS) shares them.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import stat
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from engine.disk.gpt_move import Gpt, read_gpt
from engine.events import Emit, Log, StepFinished, StepStarted
from engine.flash.machine import Machine
from engine.grow import mbr, records
from engine.grow.layout import Growth
from engine.grow.readback import check
from engine.inspect.image import Image
from engine.pipeline.sparse import data_ranges
from engine.pipeline.threads import in_thread
from engine.problem import Problem, Refused
from engine.tools import runner
from engine.tools.environment import tool_environment
from engine.tools.failure import StepFailed
from engine.units import human

_CHUNK = 1 << 20
_HEAD = 1 << 20
_SUFFIX = ".diskwright-part"
_WRITTEN_AT = 0x30
"""In an ext superblock: when it was last written (s_wtime)."""
_MIB_OF_SPARE = 16 << 20
_CANNOT_CLONE = frozenset({errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EIO})
_LOCKED = frozenset({errno.EACCES, errno.EAGAIN})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Grown:
    """What became of an image: sizes in bytes, before and after.

    Attributes:
        records: Files beside it that were rewritten to fit.
        wrong: Records that were not right of it before, and were left alone.
        stale: Files beside it that describe what it was before.
    """

    disk: tuple[int, int]
    volume: tuple[int, int]
    records: tuple[str, ...]
    wrong: tuple[str, ...]
    stale: tuple[str, ...]


async def grow(image: Image, found: Growth, emit: Emit) -> Grown:
    """Makes an image larger.

    Args:
        image: The opened image, a raw one.
        found: From `engine.grow.layout.growth`.
        emit: Takes the events of the steps.

    Raises:
        Refused: It is in use, or there is no room beside it.
        StepFailed: A tool found something wrong, or the result is not what it should be.
        OSError: A file could not be read or written.
        asyncio.CancelledError: It was cancelled. The image is as it was, and nothing is beside it.
    """
    path = _real(image.path)
    with _kept(path) as folder:
        work = _Work(image, path, found, folder, emit)
        before = await work.read_records()
        volume = await work.volume()
        new = await work.assemble(volume)
        await work.check(new)
        await work.replace(new)
        written = await work.write_records(before)
    length = found.end - found.start
    return Grown(
        disk=(image.disk.size, found.size),
        volume=(length, length + found.by),
        records=written,
        wrong=before.wrong,
        stale=before.stale,
    )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


@contextmanager
def _kept(path: Path) -> Iterator[Path]:
    """Keeps an image to this process, and yields a folder beside it that is removed in the end.

    Raises:
        Refused: Somebody else has it.
    """
    for name in Machine().loops(path):
        raise _in_use(path, f"/dev/{name} shows it as a disk", f"losetup -d /dev/{name}")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror}"
        raise Refused([Problem("grow-rights", "error", "", message)]) from None
    folder = path.parent / f".{path.name}{_SUFFIX}"
    try:
        try:
            # As QEMU locks its images (fcntl). Only asked: closing any descriptor gives it up.
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in _LOCKED:
                raise
            hint = "shut down the virtual machine that uses it, or wait for the other grow"
            raise _in_use(path, "another program has locked it", hint) from None
        shutil.rmtree(folder, ignore_errors=True)  # of one that was killed: the lock says so
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            message = f"nothing can be written beside {path}: {error.strerror}"
            raise Refused([Problem("grow-rights", "error", "", message)]) from None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(handle)


def _in_use(path: Path, why: str, hint: str) -> Refused:
    return Refused([Problem("grow-in-use", "error", "", f"{path} is in use: {why}", hint)])


class _Work:
    """One image on its way."""

    def __init__(self, image: Image, path: Path, found: Growth, folder: Path, emit: Emit) -> None:
        self._image, self._path, self._found = image, path, found
        self._folder, self._emit = folder, emit
        self._status = path.stat()
        room = shutil.disk_usage(folder).free
        needed = self._status.st_blocks * 512 + _MIB_OF_SPARE
        if room < needed:
            message = (
                f"{folder.parent} has {human(room)} free, and the copy beside the image takes "
                f"{human(needed)} at most"
            )
            raise Refused([Problem("grow-no-space", "error", "", message, "make room there")])

    async def read_records(self) -> records.Records:
        """Reads what is recorded of the image, and whether it is right."""
        async with self._step("records", "Read the records of the image"):
            return await self._thread(lambda stop: records.read(self._path, stop))

    async def write_records(self, before: records.Records) -> tuple[str, ...]:
        """Writes the records anew; the image is the new one already, so this is seen through."""
        async with self._step("record", "Write the records of the image"):
            writing = asyncio.ensure_future(
                asyncio.to_thread(records.write, self._path, before, lambda: False)
            )
            await runner.finished(writing)
            return writing.result()

    async def volume(self) -> Path:
        """Copies the volume out and grows its file system."""
        found, volume = self._found, self._folder / "volume"
        length = found.end - found.start
        async with self._step("copy", f"Copy {found.part.name}"):
            await self._thread(
                lambda stop: _copy([(found.start, 0, length)], self._path, volume, length, stop)
            )
        if not found.filesystem:
            with volume.open("r+b") as file:
                file.truncate(length + found.by)
            return volume
        async with self._step("check-before", "Check the file system"):
            assert found.part.content is not None
            if found.part.content.clean:
                await self._tool("e2fsck", "-f", "-n", volume.name)
            else:
                self._note("it was not unmounted: its journal is replayed, in the copy")
                await self._tool("e2fsck", "-f", "-p", volume.name, accept=frozenset({0, 1}))
        async with self._step("grow", f"Grow it by {human(found.by)}"):
            with volume.open("r+b") as file:
                file.truncate(length + found.by)
            await self._tool("resize2fs", "-f", volume.name)
        async with self._step("check-after", "Check it again"):
            await self._tool("e2fsck", "-f", "-n", volume.name)
        return volume

    async def assemble(self, volume: Path) -> Path:
        """Puts the new disk together."""
        found, new = self._found, self._folder / "image"
        pieces = _table(self._image, found)
        length = found.end - found.start
        async with self._step("assemble", "Put the disk together"):
            await self._thread(
                lambda stop: _copy([(0, 0, found.start)], self._path, new, found.size, stop)
            )
            await self._thread(
                lambda stop: _copy(
                    [(0, found.start, length + found.by)], volume, new, found.size, stop
                )
            )
            sector = self._image.table.sector_size
            moved = [
                (p.start * sector, p.start * sector + found.by, p.sectors * sector)
                for p in found.behind
            ]
            await self._thread(lambda stop: _copy(moved, self._path, new, found.size, stop))
            with new.open("r+b") as file:
                for offset, data in pieces:
                    file.seek(offset)
                    file.write(data)
        return new

    async def check(self, new: Path) -> None:
        """Reads the new disk back."""
        async with self._step("read-back", "Read it back and compare"):
            await self._thread(lambda stop: check(self._image, new, self._found, stop))

    async def replace(self, new: Path) -> None:
        """Gives the new disk the name, once it is on the device."""
        async with self._step("replace", f"Replace {self._path.name}"):
            try:
                await self._thread(lambda stop: self._take_name(new, stop))
            except asyncio.CancelledError:
                if _there(new):  # else it came too late: the image is the new one
                    raise

    def _take_name(self, new: Path, stop: Callable[[], bool]) -> None:
        before = self._status
        new.chmod(stat.S_IMODE(before.st_mode))
        with contextlib.suppress(PermissionError):
            os.chown(new, before.st_uid, before.st_gid)
        _sync(new, 0)
        now = self._path.stat()
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (
            before.st_ino, before.st_size, before.st_mtime_ns,
        ):  # fmt: skip
            raise StepFailed(
                f"{self._path} was changed meanwhile; it is left as it is", "grow it once more"
            )
        if not stop():
            new.replace(self._path)
            _sync(self._path.parent, os.O_DIRECTORY)

    @asynccontextmanager
    async def _step(self, name: str, title: str) -> AsyncIterator[None]:
        begun = time.monotonic()
        self._name = name
        self._emit(StepStarted(id=name, title=title))
        status = "failed"
        try:
            yield
            status = "ok"
        except asyncio.CancelledError:
            status = "cancelled"
            raise
        finally:
            seconds = round(time.monotonic() - begun, 4)
            self._emit(StepFinished(id=name, status=status, seconds=seconds))  # type: ignore[arg-type]

    def _note(self, text: str) -> None:
        self._emit(Log(id=self._name, stream="note", text=text))

    async def _thread(self, call: Callable[[Callable[[], bool]], T]) -> T:
        return await in_thread(call)

    async def _tool(self, *argv: str, accept: frozenset[int] = frozenset({0})) -> None:
        await runner.run(
            argv, step=self._name, emit=self._emit, env=tool_environment(self._epoch()),
            cwd=self._folder, accept=accept,
        )  # fmt: skip

    def _epoch(self) -> int:
        """Returns what tools take for now: the caller's, else when the file system was written."""
        given = os.environ.get("SOURCE_DATE_EPOCH", "")
        if given.isdecimal():
            return int(given)
        superblock = self._found.part.window.read(1024, 1024)
        return int(struct.unpack_from("<I", superblock, _WRITTEN_AT)[0])


def _table(image: Image, found: Growth) -> tuple[tuple[int, bytes], ...]:
    """Returns the bytes of the new table."""
    partition = found.part.partition
    sector = image.table.sector_size
    if partition is None:
        return ()
    by = found.by // sector
    if image.table.kind == "mbr":
        return mbr.longer(image.disk.read, sector, partition.number, by)
    gpt: Gpt = read_gpt(image.disk.read(0, min(_HEAD, image.disk.size)), sector)
    places = {p.number: (p.start + by, p.end + by - 1) for p in found.behind}
    places[partition.number] = (partition.start, partition.end + by - 1)
    return gpt.fitted(found.size // sector, places)


def _copy(
    ranges: list[tuple[int, int, int]],
    source: Path,
    target: Path,
    size: int,
    stop: Callable[[], bool],
) -> None:
    """Copies ranges (from, to, length) into a file of a size; holes stay, blocks may be shared."""
    with source.open("rb") as reader, target.open("r+b" if target.exists() else "x+b") as writer:
        writer.truncate(size)
        for begun, to, length in ranges:
            for first, end in data_ranges(reader.fileno(), begun, begun + length):
                at = first
                while at < end and not stop():
                    count = min(_CHUNK, end - at)
                    at += _copy_piece(reader.fileno(), at, writer.fileno(), at - begun + to, count)


def _copy_piece(reader: int, at: int, writer: int, to: int, count: int) -> int:
    try:
        copied = os.copy_file_range(reader, writer, count, at, to)
    except OSError as error:
        if error.errno not in _CANNOT_CLONE:
            raise
        copied = os.pwrite(writer, os.pread(reader, count, at), to)
    if not copied:
        raise OSError(errno.EIO, "ends before its end")
    return copied


def _there(path: Path) -> bool:
    return path.exists()


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

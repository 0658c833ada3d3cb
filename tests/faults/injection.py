"""The faults: each is put in place as a step begins, and taken away when its build is over."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from unittest import mock

import parted

from engine.filesystems import copiers
from engine.image.whole import BLOCK
from engine.pipeline import following, summing
from engine.pipeline.summing import Summing
from tests.faults.scene import Scene
from tests.support.processes import fake, written_pid

Ends = frozenset[Literal["ok", "failed", "cancelled"]]
_FAILS: Ends = frozenset({"failed"})
_CANCELLED: Ends = frozenset({"cancelled"})
_EITHER: Ends = frozenset({"ok", "failed"})


@dataclass(frozen=True, slots=True)
class Strike:
    """A fault about to happen.

    Attributes:
        tool: The tool that is to fail, "" where it is none.
        cancel: Cancels the build.
    """

    scene: Scene
    step: str
    tool: str
    cancel: Callable[[], object]

    @property
    def hidden(self) -> Path:
        """The folder that the build works in."""
        return next(self.scene.outdir.glob(".*.diskwright-part"))


@dataclass(frozen=True, slots=True)
class Fault:
    """A kind of fault.

    Attributes:
        strike: A context that the rest of the build runs in.
        ends: How a build may end under it.
        tools: Whether it befalls a tool: once for each tool of a step, and steps without are
            left out.
        message: What the error must say, where it is told.
    """

    name: str
    strike: Callable[[Strike], AbstractContextManager[object]]
    ends: Ends
    tools: bool = False
    message: str = ""


@contextlib.contextmanager
def _full(strike: Strike) -> Iterator[None]:
    """Fills the file system to its last block."""
    filler = strike.scene.folder / "filler"
    with filler.open("wb", buffering=0) as file:
        size = 1 << 20
        while size >= 512:
            try:
                if file.write(bytes(size)) == size:
                    continue
            except OSError:
                pass
            size //= 2
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def _io_error(strike: Strike) -> Iterator[None]:
    """Lets whatever touches a file in process fail, and the step's tools too."""

    def failing(*args: object, **kwargs: object) -> object:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def no_table(*args: object, **kwargs: object) -> object:
        raise parted.IOException("Input/output error during write")

    for tool in strike.tool.split():
        fake(strike.scene.fakes, tool, "echo Input/output error >&2; exit 1")
    with contextlib.ExitStack() as stack:
        for name in (
            "pwrite",
            "pread",
            "readv",
            "preadv",
            "replace",
            "rename",
            "link",
            "ftruncate",
            "fsync",
        ):
            stack.enter_context(mock.patch.object(os, name, failing))
        stack.enter_context(mock.patch.object(Path, "open", failing))
        stack.enter_context(mock.patch.object(parted.Disk, "commitToDevice", no_table))
        yield


@contextlib.contextmanager
def _no_access(strike: Strike) -> Iterator[None]:
    """Takes away the right to write to the hidden folder and all in it."""
    hidden = strike.hidden
    for path in [*hidden.rglob("*"), hidden]:
        path.chmod(0o500 if path.is_dir() else 0o400)
    yield


def _script(text: str) -> Callable[[Strike], AbstractContextManager[object]]:
    @contextlib.contextmanager
    def strike_with(strike: Strike) -> Iterator[None]:
        fake(strike.scene.fakes, strike.tool, text)
        yield

    return strike_with


@contextlib.contextmanager
def _missing(strike: Strike) -> Iterator[None]:
    real = shutil.which

    def which(name: str, mode: int = os.X_OK, path: str | None = None) -> str | None:
        return None if name == strike.tool else real(name, mode, path)

    with mock.patch.object(shutil, "which", which):
        yield


@contextlib.contextmanager
def _hangs(strike: Strike) -> Iterator[None]:
    """Has the tool hang, and the user lose patience."""
    pid = strike.scene.folder / "pid"
    fake(strike.scene.fakes, strike.tool, f"echo $$ > {pid}; exec sleep 1000")

    async def lose_patience() -> None:
        await written_pid(pid)
        strike.cancel()

    watching = asyncio.ensure_future(lose_patience())
    yield
    watching.cancel()
    pid.unlink(missing_ok=True)


@contextlib.contextmanager
def _cancel(strike: Strike) -> Iterator[None]:
    strike.cancel()
    yield


@contextlib.contextmanager
def _changed(strike: Strike) -> Iterator[None]:
    """Writes to sources, and puts them back afterwards, times included."""
    files = strike.scene.read
    contents = [file.read_bytes() for file in files]
    with _writable(files):
        for file, data in zip(files, contents, strict=True):
            file.write_bytes(b"X" + data[1:])
        yield
        for file, data in zip(files, contents, strict=True):
            file.write_bytes(data)


@contextlib.contextmanager
def _vanished(strike: Strike) -> Iterator[None]:
    """Takes sources away for a while."""
    moves = [
        (file, strike.scene.folder / f"aside-{number}")
        for number, file in enumerate(strike.scene.read)
    ]
    with _writable(strike.scene.read):
        for file, aside in moves:
            file.rename(aside)
        yield
        for file, aside in moves:
            aside.rename(file)


@contextlib.contextmanager
def _writable(files: Sequence[Path]) -> Iterator[None]:
    """Lets files and their folders be written to, and gives them their modes and times back."""
    before = [(path, path.stat()) for file in files for path in (file, file.parent)]
    for path, status in before:
        path.chmod(status.st_mode & 0o7777 | stat.S_IWUSR)
    yield
    for path, status in before:
        path.chmod(status.st_mode & 0o7777)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@contextlib.contextmanager
def _hidden_removed(strike: Strike) -> Iterator[None]:
    shutil.rmtree(strike.hidden)
    yield


@contextlib.contextmanager
def _folder_removed(strike: Strike) -> Iterator[None]:
    shutil.rmtree(strike.scene.outdir)
    strike.scene.planted = False
    yield


@contextlib.contextmanager
def _copier_killed(strike: Strike) -> Iterator[None]:
    """Has processes copy even a few files, and one die as soon as it has something to do."""
    give = copiers._Copier.give

    def die(copier: copiers._Copier, batch: copiers._Batch) -> None:
        give(copier, batch)
        copier.kill()

    with (
        mock.patch.object(copiers, "_WORTH_IT", 0),
        mock.patch.object(copiers, "processors", return_value=2),
        mock.patch.object(copiers._Copier, "give", die),
    ):
        yield


@contextlib.contextmanager
def _summer_killed(strike: Strike) -> Iterator[None]:
    """Has the digest follow even a small image, and its process die while that is written."""
    allow = Summing.allow

    def die(summing: Summing, end: int) -> bool:
        summing._process.kill()
        return allow(summing, end)

    with (
        mock.patch.object(following, "pays", return_value=True),
        mock.patch.object(following, "_STEP", BLOCK),
        mock.patch.object(summing, "WORTH_IT", 0),
        mock.patch.object(summing, "processors", return_value=2),
        mock.patch.object(Summing, "allow", die),
    ):
        yield


FULL = Fault("enospc", _full, _EITHER, message="full.* bytes")
"""Needs a file system of its own."""

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("eio", _io_error, _EITHER, message=r"[Ii]nput/output error"),
        Fault("eacces", _no_access, _EITHER),
        Fault("tool-missing", _missing, _FAILS, tools=True, message="not installed"),
        Fault("tool-fails", _script("echo on purpose >&2; exit 1"), _FAILS, tools=True,
              message="exited with status 1: on purpose"),
        Fault("tool-killed", _script("kill -KILL $$"), _FAILS, tools=True,
              message="was killed by SIGKILL"),
        Fault("tool-garbage", _script("head -c 100000 /dev/urandom"), _EITHER, tools=True),
        Fault("tool-floods", _script("yes 2>/dev/null | head -c 300000; exit 7"), _FAILS,
              tools=True, message="exited with status 7"),
        Fault("tool-hangs", _hangs, _CANCELLED, tools=True),
        Fault("cancel", _cancel, _CANCELLED),
        Fault("source-changed", _changed, _EITHER, message="changed|not what was scanned"),
        Fault("source-vanished", _vanished, _EITHER, message="changed|not what was scanned"),
        Fault("output-removed", _hidden_removed, _FAILS),
        Fault("folder-removed", _folder_removed, _FAILS),
        Fault("copier-killed", _copier_killed, _EITHER, message="copies files was killed"),
        Fault("summer-killed", _summer_killed, _EITHER, message="SHA-256 ended with status -9"),
        FULL,
    )
}  # fmt: skip

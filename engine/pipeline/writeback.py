"""Has what a build writes brought to the storage device meanwhile, so that nobody waits at the end.

Linux keeps written data for half a minute before it writes it back by itself. The first program
that asks for what it wrote to be safe then waits for everybody's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

_INTERVAL = 0.2
"""Seconds between two looks."""
_WRITE = 2
"""SYNC_FILE_RANGE_WRITE of sync_file_range(2): begins to write all dirty pages that are not being
written, waits for none, and neither tells nor forgets errors, which fsync(2) is for."""
_LARGE = 8 << 20
"""Bytes on disk from which a file is worth it."""


@contextlib.contextmanager
def steady(folder: Path) -> Iterator[None]:
    """Has large files of a folder written back all the time, by a thread of its own."""
    stop = threading.Event()
    thread = threading.Thread(
        target=_work, args=(folder, stop), name="writeback", daemon=True
    )  # fmt: skip
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _work(folder: Path, stop: threading.Event) -> None:
    call = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if call is None:
        return
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    while not stop.wait(_INTERVAL):
        for path in folder.glob("*"):
            with contextlib.suppress(OSError):  # gone or renamed since
                _begin(path, call)


def _begin(path: Path, call: ctypes._NamedFuncPointer) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_blocks * 512 >= _LARGE:
            call(handle, 0, 0, _WRITE)
    finally:
        os.close(handle)

"""What an input may do while it is read: take so long, so much memory, and write in one place."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = frozenset(
    {"os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate",
     "os.chmod", "os.chown", "shutil.rmtree", "os.mkfifo", "os.mknod"}
)  # fmt: skip
_SECOND = frozenset({"os.rename", "os.link", "os.symlink"})


_WAITING = 20
"""Seconds by the clock for each of a processor: how long something may wait, or others may work."""


class Hang(BaseException):
    """An input took longer than it may; no `except Exception` can swallow this."""


class WroteOutside(BaseException):
    """An input made a reader write where it has no business."""


class _Watch:
    """An audit hook cannot be removed, so there is one, which looks only while `folder` is set."""

    def __init__(self) -> None:
        self.folder: str | None = None
        self._installed = False

    def install(self) -> None:
        """Puts the hook in place, once."""
        if not self._installed:
            sys.addaudithook(self._hook)
            self._installed = True

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.folder is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITES:
                self._check(event, path)
        elif event in _CHANGES:
            # The first argument of these is what a link says or where a name was.
            self._check(event, arguments[event in _SECOND])

    def _check(self, event: str, path: object) -> None:
        if not isinstance(path, str | bytes):
            return
        name = os.fsdecode(path)
        # Which folder a relative name is meant in is not told: it must be a name and no more.
        if name in {".", ".."} or ("/" in name and name[0] != "/"):
            raise WroteOutside(f"{event} {name}")
        place = os.path.realpath(name)
        if place != os.devnull and not place.startswith(str(self.folder)):
            raise WroteOutside(f"{event} {place}")


_WATCH = _Watch()


@contextmanager
def guarded(folder: Path, seconds: float) -> Iterator[None]:
    """Ends what takes too long, and refuses writes outside `folder`, which it goes to.

    Args:
        folder: The one that may be written to.
        seconds: Of this process's processor time: a busy machine makes nothing a hang.

    Raises:
        Hang: After so many seconds, or after waiting `_WAITING` times as long.
        WroteOutside: At the first write outside.
    """
    _WATCH.install()
    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, 1),
        (signal.SIGALRM, signal.ITIMER_REAL, _WAITING),
    )
    before = [(number, signal.signal(number, _late)) for number, _, _ in timers]
    for _, timer, times in timers:
        signal.setitimer(timer, seconds * times)
    here = Path.cwd()
    os.chdir(folder)
    _WATCH.folder = os.path.realpath(folder)
    try:
        yield
    finally:
        _WATCH.folder = None
        os.chdir(here)
        for _, timer, _ in timers:
            signal.setitimer(timer, 0)
        for number, handler in before:
            signal.signal(number, handler)


def _late(number: int, frame: FrameType | None) -> None:
    raise Hang


@contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """Lets this process take so many bytes of memory more, and no further."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

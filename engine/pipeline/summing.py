"""SHA-256 of a large file, computed by a process of its own.

A thread would do, as hashing lets other threads run. But it reads a piece, hashes it and takes the
next, and each time waits for the interpreter while that works on what else is left at the end of a
build. The file may still be written behind what the process is allowed to read.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from collections.abc import Callable
from pathlib import Path

from engine.tools.failure import StepFailed
from engine.tools.processors import processors
from engine.tools.program import isolated_command

WORTH_IT = 128 << 20
"""Bytes on disk from which a process gains more than it takes to begin."""
_PATIENCE = 0.05
"""Seconds between two looks at whether to end."""


def pays(path: Path) -> bool:
    """Whether there is more than one processor, and enough in a file."""
    return processors() > 1 and path.stat().st_blocks * 512 >= WORTH_IT


def sha256(path: Path, report: Callable[[int, int], None], cancelled: Callable[[], bool]) -> str:
    """Returns the sum of a file, in hexadecimal; "" if it was cancelled.

    Raises:
        StepFailed: The process ended early.
        OSError: The file cannot be read, or no process can be started.
    """
    with contextlib.closing(Summing(path)) as summing:
        return summing.finish(report, cancelled)


class Summing:
    """The process; `close` is to be called whatever happens.

    Args:
        path: The file, which has its size already.

    Raises:
        OSError: The file cannot be opened, or no process can be started.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            self._process = subprocess.Popen(
                isolated_command(f"{__package__}.summer", str(file.fileno())),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                pass_fds=(file.fileno(),), bufsize=0, process_group=0,
            )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self._answers = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._orders, False)
        self._size = status.st_size
        self._identity = status.st_dev, status.st_ino

    def close(self) -> None:
        """Ends the process wherever it is, and waits for that."""
        self._process.kill()
        self._process.communicate()

    def of(self, path: Path) -> bool:
        """Whether a path is the file's, which may have another name by now."""
        status = path.stat()
        return (status.st_dev, status.st_ino, status.st_size) == (*self._identity, self._size)

    def allow(self, end: int) -> bool:
        """Has the process read on up to a byte; what is before it must never change again.

        Returns:
            Whether the process was told: it may have more to read than it has taken note of.
        """
        try:
            return os.write(self._orders, b"%d\n" % end) > 0
        except BlockingIOError:
            return False
        except BrokenPipeError:
            return True  # `finish` sees that it has ended

    def finish(self, report: Callable[[int, int], None], cancelled: Callable[[], bool]) -> str:
        """Allows it all, and returns the sum in hexadecimal; "" if it was cancelled.

        Raises:
            StepFailed: The process ended early.
            OSError: The file cannot be read.
        """
        told, said = self.allow(self._size), b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while not cancelled():
                told = told or self.allow(self._size)
                if not selector.select(_PATIENCE):
                    continue
                data = os.read(self._answers, 4096)
                if not data:
                    status = self._process.wait()
                    raise StepFailed(
                        f"the process that computes SHA-256 ended with status {status}"
                    )
                *lines, said = (said + data).split(b"\n")
                for line in lines:
                    word, _, value = line.decode().partition(" ")
                    if word == "sum":
                        return value
                    if word == "failed":
                        raise OSError(int(value), os.strerror(int(value)), str(self._path))
                    report(int(value), self._size)
        return ""

"""A real terminal for tests: a process on a pseudo-terminal, its screen kept by pyte."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

KEYS = {
    "enter": "\r", "escape": "\x1b", "tab": "\t", "down": "\x1b[B", "up": "\x1b[A",
    "f5": "\x1b[15~", "f6": "\x1b[17~", "ctrl+q": "\x11", "ctrl+x": "\x18",
}  # fmt: skip

PATIENCE = 200
"""Seconds: below the time that pytest gives a test, and far above what any machine needs."""


class Terminal:
    """Runs a command with a terminal of its own; text is what a person would see."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        size: tuple[int, int] = (100, 30),
    ) -> None:
        # A test runner's own COLUMNS and LINES would hide the size of this terminal.
        clean = {name: value for name, value in env.items() if name not in {"COLUMNS", "LINES"}}
        columns, rows = size
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        self.raw = b""
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(argv[0], list(argv), clean)
        self._set_size(columns, rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not self._reaped():
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._master)

    def _reaped(self) -> bool:
        try:
            return os.waitpid(self.pid, os.WNOHANG)[0] != 0
        except ChildProcessError:
            return True

    def resize(self, columns: int, rows: int) -> None:
        """Gives the terminal another size, once it is quiet: pyte would scroll late lines."""
        self.settle()
        self._set_size(columns, rows)
        self.screen.resize(rows, columns)

    def _set_size(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def attributes(self) -> list[int | list[bytes | int]]:
        """The terminal's settings, which a program must leave as they were."""
        return termios.tcgetattr(self._master)

    @property
    def text(self) -> str:
        """What stands on the screen."""
        return "\n".join(self.screen.display)

    def press(self, *keys: str) -> None:
        """Presses keys by name, or types a text."""
        for key in keys:
            os.write(self._master, KEYS.get(key, key).encode())
            self.read(0.15)

    def read(self, seconds: float) -> bool:
        """Takes what comes within a time; whether the other end is still open."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self._master], [], [], left)[0]:
                return True
            try:
                data = os.read(self._master, 1 << 16)
            except OSError:
                return False
            if not data:
                return False
            self.raw += data
            self.stream.feed(data)
        return True

    def settle(self, quiet: float = 1, seconds: float = 30) -> None:
        """Reads until nothing came for a while."""
        end = time.monotonic() + seconds
        before = -1
        while len(self.raw) != before and time.monotonic() < end:
            before = len(self.raw)
            if not self.read(quiet):
                return

    def wait_for(self, text: str, seconds: float = PATIENCE) -> None:
        """Waits until a text stands on the screen."""
        end = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < end, f"no {text!r} on:\n{self.text}"
            if not self.read(0.1):
                break
        assert text in self.text, f"ended without {text!r}:\n{self.text}"

    def wait(self, seconds: float = PATIENCE) -> int:
        """Waits for the end; returns the exit status."""
        end = time.monotonic() + seconds
        while True:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status)
            assert time.monotonic() < end, f"still running:\n{self.text}"

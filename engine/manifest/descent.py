"""Directories opened one below the other, never through a symbolic link.

A source can change while it is read, on purpose too: a directory is swapped for a link to
somewhere else. Every component is therefore opened on its own from the directory above it
(openat(2) with O_NOFOLLOW), so that no path leads out of the source.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
BELOW_FLAGS = DIRECTORY_FLAGS | os.O_NOFOLLOW

_MAX_OPEN = 64
"""Descriptors held at once; a deeper tree has its middle directories opened again."""

_CLOSED = -1


class Descent:
    """The open directories from a root down to where the reader is.

    Args:
        root: Path of the root; symbolic links in it are followed, it is the user's own choice.

    Raises:
        OSError: The root is not there, no directory, or not readable.
    """

    def __init__(self, root: bytes) -> None:
        self.root_fd = os.open(root, DIRECTORY_FLAGS)
        self._names: list[bytes] = []
        self._fds: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._leave(0)
        os.close(self.root_fd)

    def enter(self, path: bytes) -> int:
        """Returns a descriptor of the directory at `path` (relative; b"" is the root).

        It is valid until the next call.

        Raises:
            OSError: A component is missing, no directory (ENOTDIR, also for a link) or not
                readable.
        """
        names = path.split(b"/") if path else []
        if self._names == names[:-1] and self._fds and self._fds[-1] != _CLOSED:
            self._push(names[-1])  # one further down, as a walk mostly goes
            return self._fds[-1]
        common = 0
        for ours, theirs in zip(self._names, names, strict=False):
            if ours != theirs:
                break
            common += 1
        self._leave(common)
        self._reopen()
        for name in names[common:]:
            self._push(name)
        return self._fds[-1] if self._fds else self.root_fd

    def _leave(self, depth: int) -> None:
        for fd in self._fds[depth:]:
            if fd != _CLOSED:
                os.close(fd)
        del self._names[depth:], self._fds[depth:]

    def _reopen(self) -> None:
        """Opens the innermost directory again where it had to be closed for its depth."""
        if not self._fds or self._fds[-1] != _CLOSED:
            return
        names = self._names[:]
        alive = len(names)
        while alive and self._fds[alive - 1] == _CLOSED:
            alive -= 1
        self._leave(alive)
        for name in names[alive:]:
            self._push(name)

    def _push(self, name: bytes) -> None:
        above = self._fds[-1] if self._fds else self.root_fd
        self._fds.append(os.open(name, BELOW_FLAGS, dir_fd=above))
        self._names.append(name)
        surplus = len(self._fds) - 1 - _MAX_OPEN
        if surplus >= 0 and self._fds[surplus] != _CLOSED:
            os.close(self._fds[surplus])
            self._fds[surplus] = _CLOSED

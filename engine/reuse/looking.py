"""A look at every file and directory of the sources, by two processes where there are two."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Sequence

from engine.packed import numbers
from engine.reuse.record import SourceRecord
from engine.tools.beside import Beside
from engine.tools.forks import may_fork

_WORTH_IT = 4096
"""Names from which a second process gains more than it takes to begin."""

_PIECE = 1024
"""Names between two looks at what the other process has come to."""

_FRONT, _BACK, _FOUND = range(3)
"""In the memory of both: the first piece that this one has not begun with, the last that the other
has, and whether either of them has found a change."""


class Look:
    """What of some sources is not what it was; `close` ends the other process.

    One process begins with the first names, the other with the last, until they meet. So this one
    may do something else once it knows that there is a change.

    Args:
        sources: As they were.
        most: Changes of one source up to which it is of interest what they are.
    """

    def __init__(self, sources: Sequence[SourceRecord], most: int) -> None:
        self._sources = [_Source(one) for one in sources]
        self._most = most
        self._pieces = [
            (number, range(begin, min(begin + _PIECE, len(one.names))))
            for number, one in enumerate(self._sources)
            for begin in range(0, len(one.names), _PIECE)
        ]
        self._found: list[set[int]] = [set() for _ in sources]
        self._lost = False
        self._shared = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("q")
        self._shared[_BACK] = len(self._pieces)
        names = sum(len(one.names) for one in self._sources)
        self._other: Beside | None = None
        if names > _WORTH_IT and may_fork():
            self._other = Beside(self._backwards)

    def close(self) -> None:
        """Ends the other process."""
        if self._other is not None:
            self._other.close()
            self._other = None

    def anything(self) -> bool:
        """Whether anything is not what it was; returns as soon as that is known."""
        while not self._shared[_FOUND] and self._step():
            pass
        return bool(self._shared[_FOUND]) or self.all() is None or any(self._found)

    def all(self) -> list[list[int]] | None:
        """Returns the numbers of all that is not what it was, or is gone, by source.

        Returns:
            None where there are more than were asked for, or a folder cannot be entered.
        """
        while self._step():
            pass
        if self._other is not None:
            theirs = self._other.result()
            self.close()
            self._take(theirs)
        if self._lost or any(len(one) > self._most for one in self._found):
            return None
        return [sorted(one) for one in self._found]

    def _take(self, theirs: list[int] | None) -> None:
        if theirs is None:
            self._lost = True
            return
        for number, at in zip(theirs[::2], theirs[1::2], strict=True):
            self._found[number].add(at)

    def _step(self) -> bool:
        """Looks at the next names; whether there were any with which the other has not begun."""
        piece = self._shared[_FRONT]
        if self._lost or piece >= self._shared[_BACK]:
            return False
        self._shared[_FRONT] = piece + 1
        self._look(piece)
        return True

    def _backwards(self) -> list[int] | None:
        """Does what the other process does; returns numbers of sources, each with one of a name."""
        self._shared[_BACK] = len(self._pieces)  # if that has died, this one does it all
        while not self._lost and (piece := self._shared[_BACK] - 1) >= self._shared[_FRONT]:
            self._shared[_BACK] = piece
            self._look(piece)
        if self._lost:
            return None
        return [
            one for number, some in enumerate(self._found) for at in some for one in (number, at)
        ]

    def _look(self, piece: int) -> None:
        number, some = self._pieces[piece]
        source, found = self._sources[number], self._found[number]
        if len(found) > self._most:
            return
        changed = among(source.folder, source.names, source.stamps, some, source.look, self._most)
        if changed is None:
            self._lost = True
        else:
            found.update(changed)
        if changed != []:
            self._shared[_FOUND] = 1


class _Source:
    def __init__(self, source: SourceRecord) -> None:
        self.folder = source.folder
        self.look = os.stat if source.followed else os.lstat
        self.names = source.names.split(b"\0")[:-1]
        self.stamps = numbers("q", source.stamps)


def among(
    folder: bytes, names: Sequence[bytes], stamps: Sequence[int], some: range,
    look: Callable[..., os.stat_result], most: int,
) -> list[int] | None:  # fmt: skip
    """Returns which of some names are not what they were, or are gone.

    This is the loop of a rebuild without work.

    Args:
        folder: That they are below.
        names: All of them.
        stamps: As they were.
        some: Which to look at.
        look: `os.stat` or `os.lstat`.
        most: So many, and one more, are found at most.

    Returns:
        Their numbers; None where the folder cannot be entered.
    """
    changed: list[int] = []
    try:
        within = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        for number in some:
            try:
                status = look(names[number] or b".", dir_fd=within)
                if (
                    hash(
                        (
                            status.st_dev,
                            status.st_ino,
                            status.st_size,
                            status.st_mtime_ns,
                            status.st_ctime_ns,
                        )
                    )
                    == stamps[number]
                ):
                    continue
            except OSError:
                pass
            changed.append(number)
            if len(changed) > most:
                break
    finally:
        os.close(within)
    return changed

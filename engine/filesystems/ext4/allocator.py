"""Gives out the free blocks of a file system from the first to the last."""

from __future__ import annotations

from collections.abc import Iterable

from engine.filesystems.ext4.native import Range


class OutOfBlocks(Exception):
    """There are fewer free blocks than asked for."""

    def __init__(self, wanted: int, left: int) -> None:
        super().__init__(f"{wanted} blocks needed, {left} left")


class Allocator:
    """A cursor over runs of free blocks, which are used up without leaving gaps."""

    def __init__(self, runs: Iterable[Range]) -> None:
        self._runs = [run for run in runs if run[1]]
        self._index = 0
        self._next = self._left = 0
        if self._runs:
            self._next, self._left = self._runs[0]

    def take_run(self, count: int) -> int:
        """Takes blocks in one piece where the next run has them; returns the first, or 0."""
        if count > self._left:
            return 0
        first = self._next
        self._next += count
        self._left -= count
        return first

    def take(self, count: int) -> list[Range]:
        """Takes blocks, in as few pieces as there are runs.

        Raises:
            OutOfBlocks: There are not so many; all that were left are gone.
        """
        pieces = []
        wanted = count
        while wanted:
            if not self._left:
                self._index += 1
                if self._index >= len(self._runs):
                    raise OutOfBlocks(count, count - wanted)
                self._next, self._left = self._runs[self._index]
            piece = min(wanted, self._left)
            pieces.append((self.take_run(piece), piece))
            wanted -= piece
        return pieces

    def take_numbers(self, count: int) -> list[int]:
        """Takes blocks one by one.

        Raises:
            OutOfBlocks: There are not so many.
        """
        return [first + at for first, length in self.take(count) for at in range(length)]

    @property
    def left(self) -> int:
        """Blocks that are still free."""
        return self._left + sum(count for _, count in self._runs[self._index + 1 :])

    def taken(self) -> list[Range]:
        """Returns what was given out, as runs."""
        if self._index >= len(self._runs):
            return list(self._runs)
        whole = self._runs[: self._index]
        first = self._runs[self._index][0] if self._runs else 0
        return [*whole, (first, self._next - first)] if self._next > first else whole

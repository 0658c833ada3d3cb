"""Writes to an image, gathered into few large ones that a thread of its own carries out.

Reading the sources and writing the image take about the same time, and both release the
interpreter lock: with one thread each, two processors share the work.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

from engine.image.whole import write_whole

_BUFFER_SIZE = 256 << 10
"""Large enough to hide the cost of a call; at 512 KiB and more, Linux' page cache took four times
the processor time for the same bytes (measured on ext4)."""

_BUFFERS = 4

_Job = tuple[bytearray, int, int]
"""Buffer, bytes in it, where they go."""


class Sink:
    """Writes into one file system of an image, as a context.

    Pieces that follow one another, or begin in the block where the last one ended, leave in one
    write; the rest of every block is filled with zeros. Leaving the context waits for the last
    write; an error of any write is raised by a later call or there.

    Attributes:
        descriptor: The image.
        origin: Byte of it where the file system begins.
        block_size: Bytes of a block.
    """

    def __init__(
        self, descriptor: int, origin: int, block_size: int, *, threaded: bool = True
    ) -> None:
        """Starts the thread.

        Args:
            descriptor: The image, open for writing.
            origin: Byte of the image where the file system begins.
            block_size: Bytes of a block, a power of two of at most 64 KiB.
            threaded: Whether there is a thread; without one, a call waits for its write.
        """
        self.block_size = block_size
        self.descriptor = descriptor
        self.origin = origin
        self._free: SimpleQueue[bytearray] = SimpleQueue()
        for _ in range(_BUFFERS - 1 if threaded else 0):
            self._free.put(bytearray(_BUFFER_SIZE))
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._error: OSError | None = None
        self._buffer = bytearray(_BUFFER_SIZE)
        self._view = memoryview(self._buffer)
        self._start = self._used = 0
        self._thread = None
        if threaded:
            self._thread = Thread(target=self._work, name="image writer", daemon=True)
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._submit()
        finally:
            if self._thread is not None:
                self._jobs.put(None)
                self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def write(self, position: int, data: bytes | bytearray | memoryview) -> None:
        """Writes bytes at a position of the file system; they are copied before this returns.

        Raises:
            OSError: This or an earlier write failed.
        """
        length = len(data)
        used = position - self._start
        if used != self._used:
            self._seek(position)
            used = self._used
        end = used + length
        if end <= _BUFFER_SIZE:
            self._view[used:end] = data
            self._used = end
            return
        rest = memoryview(data)
        while rest:
            piece = rest[: _BUFFER_SIZE - self._used]
            self._view[self._used : self._used + len(piece)] = piece
            self._used += len(piece)
            rest = rest[len(piece) :]
            if rest:
                self._submit()

    def write_blocks(self, block: int, data: bytes | bytearray | memoryview) -> None:
        """Writes bytes from the start of a block on."""
        self.write(block * self.block_size, data)

    def _seek(self, position: int) -> None:
        """Makes `position` the place of the next byte, with zeros up to it from its block's start.

        A buffer begins and ends at block boundaries, so that two pieces of one block are always
        in the same buffer.
        """
        end = self._start + self._used
        block = position - position % self.block_size
        near = end <= position and block <= end + -end % self.block_size
        if not near or position - self._start > _BUFFER_SIZE:
            self._submit()
            self._start = block
        self._fill(position - self._start)

    def _fill(self, used: int) -> None:
        if used > self._used:
            self._view[self._used : used] = bytes(used - self._used)
            self._used = used

    def _submit(self) -> None:
        """Hands the buffer, filled up to a whole block, to the thread and takes another."""
        if self._error is not None:
            raise self._error
        if not self._used:
            return
        self._fill(self._used + -self._used % self.block_size)
        if self._thread is None:
            write_whole(self.descriptor, self._view[: self._used], self.origin + self._start)
        else:
            self._jobs.put((self._buffer, self._used, self._start))
            self._buffer = self._free.get()
            self._view = memoryview(self._buffer)
        self._start += self._used
        self._used = 0

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            buffer, used, start = job
            if self._error is None:
                try:
                    piece = memoryview(buffer)[:used]
                    write_whole(self.descriptor, piece, self.origin + start)
                except OSError as error:
                    self._error = error
            self._free.put(buffer)

"""Processes that copy the files of folders to their places in an image, one for each processor.

To open, read, sum up and write a small file takes a score of system calls and as many steps of the
interpreter, which runs one thread at a time. Everything has its place before it is copied, so the
processes share nothing but the image, and it has the same bytes however many there are.
"""

from __future__ import annotations

import marshal
import os
import selectors
import signal
import subprocess
import sys
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush

from engine.filesystems.copier import PLAIN, Answer, File
from engine.filesystems.placed import Place, first_block
from engine.filesystems.populate import Cancelled, PopulateFailed
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.folder import FolderSource
from engine.manifest.memory import original
from engine.tools.failure import signal_name
from engine.tools.messages import complete, framed
from engine.tools.processors import processors
from engine.tools.program import isolated_command

Copied = Callable[[int, list[Entry], list[bytes]], None]
"""Called with bytes that were written since, and with files that are complete and their sums, which
are none of both where no sums are wanted."""

NONE = sys.maxsize
"""A block beyond any."""
_MOST = 8
"""Processes: beyond, the storage device or the layout is what takes the time."""
_AHEAD = 2
"""Batches that a process has: one at work, one waiting."""
_WORTH_IT = 128 << 20
"""Bytes of data from which processes gain more than they take to begin."""
_FILE_COSTS = 20 << 10
"""Bytes that could be copied in the time that opening and closing a file takes."""
_DIGEST = 32
_PATIENCE = 0.05
"""Seconds between two looks at whether to end."""


def pay(files: int, size: int) -> bool:
    """Whether there is more than one processor, and enough to do for them: files, and bytes."""
    return processors() > 1 and size + files * _FILE_COSTS >= _WORTH_IT


def of_folder(entry: Entry) -> Entry | None:
    """Returns the entry whose folder has the data of a file, or None where no folder has."""
    entry = original(entry)
    return entry if type(entry.source) is FolderSource else None


class Copiers:
    """The processes; `end` is to be called whatever happens.

    Args:
        descriptor: The image, open for writing.
        origin: Byte of the image where the file system begins.
        block_size: Bytes of its blocks.
        copied: Called with what is done, on the thread that calls `put` and `finish`.
        cancelled: Asked several times a second.
        summed: Whether sums are wanted.
    """

    def __init__(
        self,
        descriptor: int,
        origin: int,
        block_size: int,
        copied: Copied,
        cancelled: Callable[[], bool],
        *,
        summed: bool = True,
    ) -> None:
        self._copied = copied
        self._cancelled = cancelled
        self._selector = selectors.DefaultSelector()
        self._waiting: deque[_Batch] = deque()
        self._unwritten = _Lowest()
        self._sources: dict[int, int] = {}
        self._crew: list[_Copier] = []
        arguments = (str(descriptor), str(origin), str(block_size), str(int(summed)))
        try:
            for _ in range(min(processors(), _MOST)):
                self._crew.append(_Copier(arguments, descriptor))
        except OSError as error:
            self.end()
            raise OSError(error.errno, f"no process can be started: {error.strerror}") from error
        for copier in self._crew:
            self._selector.register(copier.answers, selectors.EVENT_READ, copier)

    def put(
        self, entries: Sequence[Entry], places: Sequence[Place | None]
    ) -> tuple[list[Entry], list[Place | None]]:
        """Has files copied.

        Args:
            entries: Regular files, as `copied` will be told of them.
            places: Where the data of each goes, if it has any.

        Returns:
            Those whose data no folder has, and their places.

        Raises:
            SourceChanged: A file is not what was scanned; names it.
            PopulateFailed: A process ended early.
            Cancelled: `cancelled` said so.
            OSError: Reading a source or writing the image failed.
        """
        batches: dict[int, _Batch] = {}
        others: list[Entry] = []
        theirs: list[Place | None] = []
        for entry, place in zip(entries, places, strict=True):
            source = entry.source
            origin = entry if type(source) is FolderSource else of_folder(entry)
            if origin is None:
                others.append(entry)
                theirs.append(place)
                continue
            batch = batches.get(id(origin.source))
            if batch is None:
                source = origin.source
                assert isinstance(source, FolderSource)
                index = self._sources.setdefault(id(source), len(self._sources))
                batch = batches[id(source)] = _Batch(source, index)
            batch.put(entry, origin, place)
        self._waiting += batches.values()
        for batch in batches.values():
            self._unwritten.add(batch.first)
        self._pump(0)
        return others, theirs

    @property
    def first(self) -> int:
        """The first block of what was put and is not written yet; `NONE` where all is."""
        return self._unwritten.first

    def finish(self) -> None:
        """Waits until all is copied. Raises as `put` does."""
        while self._waiting or any(copier.batches for copier in self._crew):
            self._pump(_PATIENCE)

    def pump(self) -> None:
        """Hands out and takes in what can be at once. Raises as `put` does."""
        self._pump(0)

    def _pump(self, patience: float) -> None:
        if self._cancelled():
            raise Cancelled
        for copier in sorted(self._crew, key=lambda each: len(each.batches)):
            while self._waiting and len(copier.batches) < _AHEAD:
                copier.give(self._waiting.popleft())
            copier.send()
        for key, _ in self._selector.select(patience):
            for message in key.data.messages():
                self._take(key.data, message)

    def _take(self, copier: _Copier, message: Answer) -> None:
        match message:
            case ("bytes", done):
                self._copied(done, [], [])
            case ("done", done, sums):
                batch = copier.batches.popleft()
                self._unwritten.remove(batch.first)
                self._copied(done, batch.entries if sums else [], divided(sums))
            case ("changed", text):
                raise SourceChanged(text)
            case ("failed", number, text, name):
                raise OSError(number, text, name)
            case ("fault", text):
                raise RuntimeError(f"a process that copies files failed:\n{text}")

    def end(self) -> None:
        """Ends the processes wherever they are, and waits for that."""
        self._selector.close()
        for copier in self._crew:
            copier.kill()
        for copier in self._crew:
            copier.wait()


class _Lowest:
    """The lowest of numbers that come and go."""

    def __init__(self) -> None:
        self._came: list[int] = []
        self._went: list[int] = []

    def add(self, number: int) -> None:
        heappush(self._came, number)

    def remove(self, number: int) -> None:
        """Takes out one that is in."""
        heappush(self._went, number)
        while self._went and self._went[0] == self._came[0]:
            heappop(self._went)
            heappop(self._came)

    @property
    def first(self) -> int:
        return self._came[0] if self._came else NONE


class _Batch:
    """Files of one source that a process copies in one go.

    Attributes:
        first: The first block of their data; `NONE` where they have none.
    """

    def __init__(self, source: FolderSource, index: int) -> None:
        self.source = source
        self.index = index
        self.first = NONE
        self._plain: list[Entry] = []
        self._paths: list[bytes] = []
        self._sizes, self._stamps, self._places = array("q"), array("q"), array("q")
        self._others: list[Entry] = []
        self._files: list[File] = []

    @property
    def entries(self) -> list[Entry]:
        """All files, in the order of the sums."""
        return self._plain + self._others

    def put(self, entry: Entry, origin: Entry, place: Place | None) -> None:
        """Takes a file; see `Copiers.put`."""
        size, stamp = origin.size, origin.stamp
        if (
            size <= PLAIN
            and origin.extents is None
            and type(stamp) is int
            and (type(place) is int or not size)
        ):
            self._plain.append(entry)
            self._paths.append(origin.path)
            self._sizes.append(size)
            self._stamps.append(stamp)
            start = place if type(place) is int else 0
            self._places.append(start)
            if start and start < self.first:
                self.first = start
        else:
            if place:
                self.first = min(self.first, first_block(place))
            self._others.append(entry)
            self._files.append((origin.path, size, origin.extents, stamp, place))

    def message(self, *, known: bool) -> bytes:
        """Returns what a process is sent; it may know the source already."""
        source = None if known else self.source.bare()
        columns = [one.tobytes() for one in (self._sizes, self._stamps, self._places)]
        plain = b"\0".join(self._paths), *columns
        return framed(marshal.dumps((self.index, source, plain, self._files)))


def divided(sums: bytes) -> list[bytes]:
    """Returns SHA-256s that lie one behind the other."""
    return [sums[at : at + _DIGEST] for at in range(0, len(sums), _DIGEST)]


class _Copier:
    """One process, and what it was given.

    Attributes:
        answers: What it writes to.
        batches: What it has and has not answered.
    """

    def __init__(self, arguments: tuple[str, ...], descriptor: int) -> None:
        self._process = subprocess.Popen(
            isolated_command(f"{__package__}.copier", *arguments),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            pass_fds=(descriptor,), bufsize=0, process_group=0,
        )  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders, self.answers = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._orders, False)
        os.set_blocking(self.answers, False)
        self.batches: deque[_Batch] = deque()
        self._known: set[int] = set()
        self._out = b""
        self._in = bytearray()

    def give(self, batch: _Batch) -> None:
        """Takes a batch; `send` sends it."""
        self._out += batch.message(known=batch.index in self._known)
        self._known.add(batch.index)
        self.batches.append(batch)

    def send(self) -> None:
        """Sends as much as the pipe takes at once.

        Raises:
            PopulateFailed: The process has ended.
        """
        while self._out:
            try:
                self._out = self._out[os.write(self._orders, self._out) :]
            except BlockingIOError:
                return
            except BrokenPipeError:
                raise self._ended() from None

    def messages(self) -> list[Answer]:
        """Returns what has been answered since.

        Raises:
            PopulateFailed: The process has ended.
        """
        try:
            data = os.read(self.answers, 1 << 16)
        except BlockingIOError:
            return []
        if not data:
            raise self._ended()
        self._in += data
        return [marshal.loads(one) for one in complete(self._in)]  # noqa: S302 # from `copier`

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def wait(self) -> None:
        """Waits for its end, so that nothing writes to the image any more."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _ended(self) -> Exception:
        """Returns the failure of a process that nobody had asked to end."""
        status = self._process.wait()
        if status == -signal.SIGKILL:
            how = "was killed; the machine may be short of memory"
        elif status < 0:
            how = f"was ended by {signal_name(-status)}"
        else:
            how = f"ended with status {status}"
        return PopulateFailed(f"a process that copies files {how}")

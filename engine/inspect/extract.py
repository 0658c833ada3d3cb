"""Copies a file or a tree out of an image: into a folder, or into an archive that loses nothing.

The image is not trusted. Every directory is entered once, names that lead elsewhere are left out,
and no file is begun that there is no room for. What cannot be read is noted; the rest is copied.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.image.container import BadImage
from engine.image.reading import BadFilesystem, Entered, Filesystem, Node, most_data
from engine.inspect import rescue
from engine.inspect.extract_folder import folder_sink
from engine.inspect.extract_tar import tar_sink
from engine.inspect.notes import Notes
from engine.inspect.unpublished import CONTENT, unpublished
from engine.manifest.findings import shown
from engine.manifest.progress import Ticker
from engine.manifest.tar import Ranges
from engine.problem import Problem, Refused
from engine.units import human, in_bytes, sized

ARCHIVE = ".tar"
"""A destination that ends so becomes an archive."""
_COMPRESSED = (".tgz", ".tar.gz", ".tar.xz", ".tar.zst", ".tar.bz2", ".zip")

_SHARED = "more data in files than there is room: they share it"
_PATH_MAX = 4096
"""Bytes of a path that a program can name, NUL included (limits.h)."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What was copied.

    Attributes:
        files: Regular files by name, further names of hard links included.
        directories: The topmost included.
        links: Symbolic links.
        bytes: Of data, holes left out.
        notes: What was left out or changed and why, one line for each kind.
        failed: How many entries could not be read whole, or not be made.
    """

    files: int
    directories: int
    links: int
    bytes: int
    notes: tuple[str, ...]
    failed: int = 0


class ExtractFailed(Exception):
    """The destination cannot be written; the message is for a person, and nothing is left there."""


def extract(
    filesystem: Filesystem,
    node: Node,
    dest: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Extracted:
    """Copies a file, or a directory with all that is in it.

    Args:
        filesystem: Where it is.
        node: A regular file or a directory.
        dest: The name that it gets. What ends in `.tar` becomes a pax archive; a file that is
            an archive already is copied as it is.
        progress: Takes entries and bytes so far, at most ten times a second.
        cancelled: Asked as often.

    Raises:
        Refused: There is something at `dest`, nothing can be made there, there is no room for
            it, or `node` is neither.
        ExtractFailed: The destination ran full or cannot be written.
        BadImage: `node` itself cannot be read.
        engine.manifest.progress.ScanCancelled: It was asked to stop; nothing is left.
    """
    notes = Notes()
    ticker = Ticker(progress, cancelled)
    archive = dest.suffix == ARCHIVE and not _is_archive(node)
    _refuse_unfit(node, dest)
    with unpublished(dest) as folder:
        free = _free(folder)
        if free < most_data(filesystem):  # else it fits, whatever is in it
            needed = rescue.least_bytes(filesystem, node, lambda: ticker.add(0, 0))
            _refuse_without_room(dest, needed, free)
        into = tar_sink(folder / CONTENT, notes) if archive else folder_sink(folder, notes)
        try:
            with into as sink:
                copy = _Copy(filesystem, sink, notes, ticker, folder)
                copy.tree(node, _member_name(node) if archive else os.fsencode(CONTENT))
        except OSError as error:
            reason = error.strerror or str(error)
            raise ExtractFailed(
                f"{dest} cannot be written: {reason}, after {ticker.entries} entries with "
                f"{sized(ticker.bytes)}"
            ) from error
        ticker.report()
    return Extracted(
        copy.files, copy.directories, copy.links, ticker.bytes, notes.lines(), notes.failed
    )


class Sink(Protocol):
    """Takes entries in the order of the tree; `path` is where each one goes."""

    def survives(self, error: OSError) -> bool:
        """Whether other entries can still be made after this error."""
        ...

    def directory(self, path: bytes, node: Node) -> None:
        """Begins a directory."""
        ...

    def leave(self, path: bytes, node: Node) -> None:
        """Ends a directory: all that is in it was given."""
        ...

    def file(
        self, path: bytes, node: Node, ranges: Ranges, pieces: Iterable[tuple[int, bytes]]
    ) -> None:
        """Makes a file of `pieces` (offset, bytes), which lie in `ranges` (offset, length)."""
        ...

    def link(self, path: bytes, node: Node, first: bytes) -> bool:
        """Makes another name of what was made at `first`; whether that is possible."""
        ...

    def symlink(self, path: bytes, node: Node) -> None:
        """Makes a symbolic link."""
        ...

    def special(self, path: bytes, node: Node) -> bool:
        """Makes a device, FIFO or socket; whether that is possible, which is noted."""
        ...


class _Copy:
    """One copy in the making."""

    def __init__(
        self, filesystem: Filesystem, sink: Sink, notes: Notes, ticker: Ticker, folder: Path
    ) -> None:
        self.files = self.directories = self.links = 0
        self._ticker = ticker
        self._filesystem = filesystem
        self._sink = sink
        self._notes = notes
        self._folder = folder
        self._entered = Entered(filesystem)
        self._names: dict[int, bytes] = {}
        self._room = most_data(filesystem)
        self._sure = 0
        self._is_cut = filesystem.size > filesystem.room

    def tree(self, top: Node, base: bytes) -> None:
        """Copies an entry and all that is below it; `base` is where it goes."""
        if not self._take(top, base):
            return
        pending = [(top, base, rescue.children(self._filesystem, top, self._notes.fail))]
        while pending:
            parent, at, children = pending[-1]
            node = next(children, None)
            if node is None:
                pending.pop()
                with self._noted(parent):
                    self._sink.leave(at, parent)
                continue
            name = node.path[len(parent.path) + bool(parent.path) :]
            with self._noted(node):
                _check_name(name)
                path = at + b"/" + name if at else name
                if self._take(node, path):
                    pending.append(
                        (node, path, rescue.children(self._filesystem, node, self._notes.fail))
                    )

    def _take(self, node: Node, path: bytes) -> bool:
        """Makes one entry; whether it is a directory to be gone through."""
        self._ticker.add(1, 0)
        if len(path) >= _PATH_MAX:
            raise BadFilesystem(f"its path has {in_bytes(len(path))}, {_PATH_MAX - 1:,} at most")
        if stat.S_ISDIR(node.mode):
            self._enter(node)
            self._sink.directory(path, node)
            self.directories += 1
            return True
        first = self._names.get(node.inode) if node.links > 1 else None
        if first is None:
            self._take_room(node)
        if first is None or not self._sink.link(path, node, first):
            made = self._make(node, path)
            if made and node.links > 1:
                self._names.setdefault(node.inode, path)
        self.files += stat.S_ISREG(node.mode)
        self.links += stat.S_ISLNK(node.mode)
        return False

    def _take_room(self, node: Node) -> None:
        """Counts a file's data.

        Raises:
            BadFilesystem: Files share it: a small image could be copied without end.
        """
        if stat.S_ISREG(node.mode):
            ranges = rescue.data_ranges(self._filesystem, node)
            stored = sum(length for _, length in ranges)
            if self._is_cut:
                return  # what of it is there shows when it is read
            if stored > self._room:
                raise BadFilesystem(_SHARED)
            self._room -= stored

    def _enter(self, node: Node) -> None:
        """Notes that a directory is gone through, which happens to no part of one twice.

        Raises:
            BadFilesystem: It would be: a small image could be copied without end.
        """
        if node in self._entered:
            raise BadFilesystem("another name of a directory that has one")
        self._entered.add(node)

    def _make(self, node: Node, path: bytes) -> bool:
        """Makes what is not a directory; whether it was made."""
        if stat.S_ISREG(node.mode):
            ranges = rescue.data_ranges(self._filesystem, node)
            self._want_room(node, sum(length for _, length in ranges))
            self._sink.file(path, node, ranges, self._pieces(node))
        elif stat.S_ISLNK(node.mode):
            if not node.target or b"\0" in node.target:
                raise BadFilesystem("a symbolic link without a usable target")
            self._sink.symlink(path, node)
        else:
            return self._sink.special(path, node)
        return True

    def _want_room(self, node: Node, needed: int) -> None:
        """Looks at what is free again once half of what there was is taken."""
        self._sure -= needed
        if self._sure >= 0:
            return
        free = _free(self._folder)
        self._sure = free // 2 - needed
        if needed > free:
            raise ExtractFailed(
                f"{self._folder.parent} has no room for /{shown(node.path)}: it needs "
                f"{sized(needed)}, {sized(free)} are free after "
                f"{human(self._ticker.bytes)} were written"
            )

    def _pieces(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """Yields the data of a file as far as it can be read."""
        for piece in rescue.data(self._filesystem, node, self._notes.fail):
            if self._is_cut:
                self._room -= len(piece[1])
                if self._room < 0:
                    self._notes.fail(node.path, _SHARED)
                    return
            self._ticker.add(0, len(piece[1]))
            yield piece

    @contextmanager
    def _noted(self, node: Node) -> Iterator[None]:
        """Notes what goes wrong with one entry, if others can still be copied."""
        try:
            yield
        except BadImage as error:
            self._notes.fail(node.path, error)
        except OSError as error:
            if not self._sink.survives(error):
                raise
            self._notes.fail(node.path, error.strerror)


def _refuse_without_room(dest: Path, needed: int, free: int) -> None:
    if needed > free:
        what = (
            f"{dest.parent} has no room for {dest.name}: it needs at least {sized(needed)}, "
            f"{sized(free)} are free"
        )
        hint = f"free at least {human(needed - free)} there, or name another place"
        raise Refused([Problem("no-room", "error", "", what, hint)])


def _free(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _check_name(name: bytes) -> None:
    if name in {b"", b".", b".."} or b"/" in name or b"\0" in name:
        raise BadFilesystem("a name that leads elsewhere")


def _is_archive(node: Node) -> bool:
    return stat.S_ISREG(node.mode) and node.name.endswith(os.fsencode(ARCHIVE))


def _refuse_unfit(node: Node, dest: Path) -> None:
    # A damaged file system's root may say that it is a file: one without a name.
    if not stat.S_ISDIR(node.mode) and not (stat.S_ISREG(node.mode) and node.name):
        what = f"/{shown(node.path)} is neither a file nor a directory"
        raise Refused([Problem("not-extractable", "error", "", what)])
    if stat.S_ISDIR(node.mode) and dest.name.endswith(_COMPRESSED):
        what = f"{dest} would be a compressed archive, which is not made here"
        hint = f"name one that ends in {ARCHIVE} and compress that"
        raise Refused([Problem("compressed-archive", "error", "", what, hint)])


def _member_name(node: Node) -> bytes:
    """Returns the name of the topmost entry in an archive; a directory's own is left out."""
    return b"" if stat.S_ISDIR(node.mode) else node.name

"""What all readers of file systems share: a window on a disk, and what they report."""

from __future__ import annotations

import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol, TypeGuard

from engine.image.container.disk import BadImage, Disk
from engine.image.fields import Record
from engine.units import in_bytes

_ENTRIES_COST = 32
_FEW = 4
"""Extents that fit into an inode: a file with more has a map of its own."""
_MAX_BLOCKS = 1 << 22
"""Blocks of all directories; a sound tree of a million directories has a quarter of them."""
_MOST_SHARED = 64
"""How often a block is read at most where files share blocks by design."""
_PIECE = 1 << 22
"""Bytes of file data that are read at once."""


class BadFilesystem(BadImage):
    """A structure of a file system is damaged; the message says which and where."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a disk, as its own range of bytes.

    Attributes:
        disk: The disk.
        start: First byte.
        size: Bytes in the part.
    """

    disk: Disk
    start: int
    size: int

    def read(self, offset: int, length: int) -> bytes:
        """Returns bytes of the part.

        Raises:
            BadImage: The range does not lie in it.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise BadImage(
                f"bytes {offset} to {offset + length} of a part of {in_bytes(self.size)}"
            )
        return self.disk.read(self.start + offset, length)

    def read_entries(self, offset: int, length: int) -> bytes:
        """Returns bytes of a directory, whose many small entries take longer than their bytes.

        Raises:
            BadImage: The range does not lie in the part, or more was read than may be.
        """
        self.disk.spend(_ENTRIES_COST * length)
        return self.read(offset, length)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A file, directory or other inode of a file system, as it was found.

    Attributes:
        path: Without leading slash; b"" is the root.
        mode: Type and permission bits as in st_mode.
        inode: Its number, or the first cluster in FAT.
        xattrs: Full names and values.
        extents: Pieces of its data as (offset in the file, offset in the window, length).
    """

    path: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    links: int = 1
    inode: int = 0
    target: bytes = b""
    rdev: int = 0
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    extents: tuple[tuple[int, int, int], ...] = field(default=(), repr=False)

    @property
    def name(self) -> bytes:
        """The last component of the path."""
        return self.path.rpartition(b"/")[2]


@dataclass(frozen=True, slots=True)
class Examination:
    """What a look for damage found.

    Attributes:
        findings: What is wrong, in sentences.
        unchecked: What was not looked at, each a phrase.
    """

    findings: tuple[str, ...]
    unchecked: tuple[str, ...] = ()


class Findings:
    """Gathers sentences by kind, of which a few of each are told."""

    _shown = 5

    def __init__(self) -> None:
        self._kinds: dict[str, dict[str, None]] = {}
        self._counts: dict[str, int] = {}

    def add(self, kind: str, sentence: str) -> None:
        """Notes one."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        sentences = self._kinds.setdefault(kind, {})
        if len(sentences) < self._shown:
            sentences[sentence] = None

    def with_unchecked(self, *unchecked: str) -> Examination:
        """Returns what was found, with what was not looked at."""
        lines: list[str] = []
        for kind, sentences in self._kinds.items():
            lines += sentences
            more = self._counts[kind] - len(sentences)
            if more:
                lines.append(f"{more} more of the kind before")
        return Examination(tuple(lines), unchecked)


class Content(Protocol):
    """What a volume holds, as far as it is known: its format, and how it names itself.

    Attributes:
        type: Key of the format.
        uuid: In the format's own notation.
        size: Bytes that it says it has.
        room: Bytes of these that are there: its files cannot have more, unless they share some.
    """

    type: str
    label: str
    uuid: str
    size: int
    room: int
    block_size: int

    @property
    def free(self) -> int:
        """Bytes that can still be taken."""
        ...

    @property
    def clean(self) -> bool:
        """Whether it was unmounted cleanly and holds no recorded errors."""
        ...


class Described(Content, Protocol):
    """A content whose reader tells of its structures itself, for `inspect` and `diff`."""

    def figures(self) -> Mapping[str, int | str]:
        """Returns what `inspect --json` says of it beyond what all have."""
        ...

    def header(self) -> Mapping[str, object]:
        """Returns the fields of its superblock by name, for a comparison with another."""
        ...

    def structures(self) -> Iterator[tuple[int, int, str]]:
        """Yields named parts of its window: first byte, length, what it is.

        Raises:
            BadImage: A structure is damaged.
        """
        ...

    def unused(self) -> Iterator[tuple[int, int]]:
        """Yields the ranges (first byte, length) of its window that nothing uses, rising."""
        ...


class Recorded(Content, Protocol):
    """A content whose reader shows its structures as they stand, for `diff` to name each field."""

    def records(self) -> Iterator[Record]:
        """Yields those of the file system as a whole, always in the same order."""
        ...

    def inode_record(self, node: Node) -> Record | None:
        """Returns that of a file or directory, or None where the format has none."""
        ...


class Filesystem(Content, Protocol):
    """A content with files, which can be looked into without mounting it."""

    def lookup(self, path: bytes) -> Node | None:
        """Returns what is at a path (no leading slash), links not followed, or None."""
        ...

    def children(self, node: Node) -> Iterator[Node]:
        """Yields what a directory holds, sorted by name, without `.` and `..`."""
        ...

    def stored_names(self, node: Node) -> Iterator[bytes]:
        """Yields the names of a directory in the order in which they are stored."""
        ...

    def blocks_of(self, node: Node) -> Iterator[int]:
        """Yields where in its window each block of a file or directory begins."""
        ...

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        """Yields the data of a regular file: offset, bytes; holes left out."""
        ...


class Listed(Filesystem, Protocol):
    """One whose directory entries hold all there is of a file: no numbers lead elsewhere."""

    def listed(self, node: Node) -> Iterator[Node]:
        """Yields what a directory holds as it is stored, up to where it is damaged."""
        ...


class Divided(Filesystem, Protocol):
    """One with subvolumes: other folders than its topmost one may be mounted as a root.

    Attributes:
        tops: Paths of what may be, the one first that a mount shows where nothing else is said.
    """

    @property
    def tops(self) -> tuple[bytes, ...]:
        """See the class.

        Raises:
            BadImage: A structure is damaged.
        """
        ...

    def subvolumes(self) -> Mapping[int, bytes]:
        """Returns the paths of the subvolumes from the top of the file system, by their ids.

        Raises:
            BadImage: They lie in each other, or somewhere that is not there.
        """
        ...


def holds_files(content: Content | None) -> TypeGuard[Filesystem]:
    """Whether a content has files to look at."""
    return hasattr(content, "lookup")


def lists(filesystem: Filesystem) -> TypeGuard[Listed]:
    """Whether a file system's directory entries hold all there is of a file."""
    return hasattr(filesystem, "listed")


def is_divided(content: Content | None) -> TypeGuard[Divided]:
    """Whether a file system may have subvolumes."""
    return hasattr(content, "tops")


def describes_itself(content: Content | None) -> TypeGuard[Described]:
    """Whether a content's reader tells of its structures itself."""
    return hasattr(content, "structures")


def shows_records(content: Content | None) -> TypeGuard[Recorded]:
    """Whether a content's reader shows its structures as they stand."""
    return hasattr(content, "records")


class Numbered(ABC):
    """A file system whose directories lead from names to the numbers of inodes.

    Attributes:
        root: Number of the root directory.
    """

    root: int
    block_size: int
    _window: Window

    @abstractmethod
    def node(self, number: int, path: bytes) -> Node:
        """Returns an inode as a node.

        Raises:
            BadFilesystem: It, or what it points to, is damaged.
        """

    @abstractmethod
    def names(self, node: Node) -> Iterator[tuple[bytes, int]]:
        """Yields the names of a directory, but for `.` and `..`, and the numbers of the inodes.

        Raises:
            BadFilesystem: It is damaged; what stands before the damage was yielded.
        """

    def lookup(self, path: bytes) -> Node | None:
        node = self.node(self.root, b"")
        at = b""
        for part in (part for part in path.split(b"/") if part):
            if not stat.S_ISDIR(node.mode):
                return None
            number = next((number for name, number in self.names(node) if name == part), None)
            if number is None:
                return None
            at = at + b"/" + part if at else part
            node = self.node(number, at)
        return node

    def children(self, node: Node) -> Iterator[Node]:
        """See `Filesystem.children`.

        Raises:
            BadFilesystem: It is damaged, or has a name twice.
        """
        prefix = node.path + b"/" if node.path else b""
        last = None
        for name, number in sorted(self.names(node)):
            if name == last:
                raise BadFilesystem(f"directory {node.path!r}: {name!r} is there twice")
            last = name
            yield self.node(number, prefix + name)

    def stored_names(self, node: Node) -> Iterator[bytes]:
        return (name for name, _ in self.names(node))

    def blocks_of(self, node: Node) -> Iterator[int]:
        for _, place, length in node.extents:
            yield from range(place, place + length, self.block_size)

    def data(self, node: Node) -> Iterator[tuple[int, bytes]]:
        for offset, place, length in node.extents:
            for at in range(0, min(length, node.size - offset), _PIECE):
                take = min(_PIECE, length - at, node.size - offset - at)
                yield offset + at, self._window.read(place + at, take)


def most_data(filesystem: Content) -> int:
    """Returns the bytes of data that all files have at most, in one that is not made to harm."""
    shared = getattr(filesystem, "shares_blocks", False)
    return filesystem.room * (_MOST_SHARED if shared else 1)


def runs(numbers: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Joins rising numbers into runs (first, count)."""
    first = count = 0
    for number in numbers:
        if count and number == first + count:
            count += 1
            continue
        if count:
            yield first, count
        first, count = number, 1
    if count:
        yield first, count


class Entered:
    """The directories that were gone through: none twice, and no part of one twice."""

    def __init__(self, filesystem: Filesystem) -> None:
        self._filesystem = filesystem
        self._inodes: set[int] = set()
        self._blocks: set[int] = set()

    def __contains__(self, node: Node) -> bool:
        return node.inode in self._inodes

    def add(self, node: Node) -> None:
        """Notes that a directory is gone through.

        Raises:
            BadFilesystem: Part of it was before, or there is too much of it: a small image could
                be listed without end.
        """
        self._inodes.add(node.inode)
        left = _MAX_BLOCKS - len(self._blocks)
        blocks = set(islice(self._filesystem.blocks_of(node), left + 1))
        if len(blocks) > left:
            raise BadFilesystem(f"the directories have more than {_MAX_BLOCKS} blocks")
        if not self._blocks.isdisjoint(blocks):
            raise BadFilesystem(f"{node.path!r} shares a block with another directory")
        self._blocks |= blocks


def walk(filesystem: Filesystem, top: Node | None = None) -> Iterator[Node]:
    """Yields every node below a directory, each directory before what it holds.

    Damaged trees end: a directory is entered once, whatever number of names leads to it.

    Raises:
        BadImage: A structure is damaged, or directories share blocks, or files have more pieces
            than there are blocks: a small image could then be listed without end.
    """
    start = top or filesystem.lookup(b"")
    assert start is not None
    entered = Entered(filesystem)
    entered.add(start)
    fragmented: set[int] = set()
    room = most_data(filesystem) // filesystem.block_size
    pending = [filesystem.children(start)]
    while pending:
        node = next(pending[-1], None)
        if node is None:
            pending.pop()
            continue
        if len(node.extents) > _FEW and node.inode not in fragmented:
            fragmented.add(node.inode)
            room -= len(node.extents)
            if room < 0:
                raise BadFilesystem(f"at {node.path!r} there are more pieces of files than blocks")
        yield node
        if stat.S_ISDIR(node.mode) and node not in entered:
            entered.add(node)
            pending.append(filesystem.children(node))


def contents(filesystem: Filesystem, node: Node, limit: int) -> bytes:
    """Returns a file's bytes, at most `limit` of them; holes are zeros."""
    result = bytearray(min(node.size, limit))
    for offset, piece in filesystem.data(node):
        if offset >= limit:
            break
        result[offset : offset + len(piece)] = piece[: len(result) - offset]
    return bytes(result)

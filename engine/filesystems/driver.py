"""What the planner asks of every file system, and what it is answered.

A driver is pure arithmetic: it measures contents, answers sizes, lays an empty file system out and
accounts for its bytes. Sizes are bytes throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.filesystems.populate import DataObserver, Progress
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest

Commands = tuple[tuple[str, ...], ...]

_NAMED = 3
"""Entries that lose something and are named; the rest are counted."""

Part = Literal[
    "inode-tables",
    "journal",
    "metadata",
    "directories",
    "contents",
    "rounding",
    "bound",
    "reserved",
    "free",
    "packed",
    "hash-tree",
    "signature",
]
"""What a file system's bytes are taken by."""


class DoesNotFit(Exception):
    """No file system of the format can have that size; the message says why.

    Attributes:
        most: Bytes of the largest there can be, where the size asked for was too large.
    """

    def __init__(self, message: str, most: int | None = None) -> None:
        super().__init__(message)
        self.most = most


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """The volume that a layer goes with.

    Attributes:
        id: Of the volume.
        size: Bytes of its place.
        salt: In front of every block when it is hashed.
        key, certificate: PEM files for a signature, or "".
    """

    id: str
    size: int
    salt: bytes
    key: str = ""
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A file system as it is wanted.

    Attributes:
        manifest: What goes in.
        label: Of the file system.
        uuid: Of the file system, in the format's own notation.
        sector_size: Bytes of a logical sector of the disk.
        free: Bytes to leave free, where the size follows from the contents.
        inodes: Free inodes to leave, or None for what goes with the free space.
        compression: Where the format knows it, else "".
        subvolumes: Directories of `manifest` that are subvolumes, as paths from its root.
        default_subvolume: One of them, or "" for the top of the file system.
        grown: Bytes that it will be grown to by the system it is of, or 0.
        tool_defaults: As the format's own program makes it by default (make-disk-image's rules).
        below: What it goes with, where it is a layer.
    """

    manifest: Manifest
    label: str = ""
    uuid: str = ""
    sector_size: int = 512
    free: int = 0
    inodes: int | None = None
    compression: str = ""
    subvolumes: tuple[str, ...] = ()
    default_subvolume: str = ""
    grown: int = 0
    tool_defaults: bool = False
    below: Below | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """An entry that the format cannot hold, and why (a sentence)."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class Drop:
    """What a format drops of some entries.

    Attributes:
        what: A noun in the plural, as in "ACLs".
        entries: How many have it.
        first: Paths of the first few.
    """

    what: str
    entries: int
    first: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, what: str, entries: Sequence[Entry]) -> Drop:
        """Returns what is dropped of these entries."""
        return cls(what, len(entries), tuple(entry.path for entry in entries[:_NAMED]))


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a file system of a given size lacks to hold its contents.

    Attributes:
        resource: "names" are the entries of a root directory of fixed size; too few "clusters"
            are a matter of the size alone.
        why: What makes it need so much, as the end of a sentence; "" if its contents do.
    """

    resource: Literal["bytes", "inodes", "names", "clusters"]
    needed: int
    available: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemPlan:
    """A file system as it will be made.

    Attributes:
        type: Key of the format.
        uuid: In the format's notation: FAT has "XXXX-XXXX".
        size: Bytes it takes up of its volume.
        block_size: Bytes of a block or cluster; 0 where the format has none.
        blocks: Blocks or clusters.
        inodes: 0 for a format without.
        manifest: What goes in.
        data_bytes: Bytes of file data that will be written into it; holes are not.
        free_bytes, free_inodes: What is left once everything is in, as `df` shows it to root.
        written_bytes: About how much of it is not a hole.
        structure_bytes: What its own structures are of that, where making and checking it takes
            a time worth showing.
        parts: Where its bytes go; they sum to `size`, or to less where some stay unused.
        layout: The driver's own figures, for its commands and its writer.
        shortage: Why the contents do not fit, or None.
        notes: What a build says when it has filled it.
        refused: Entries it cannot hold.
        drops: What entries have that it does not keep.
        most_bytes: What it takes at most, where only making it tells how large it becomes; 0 where
            it has exactly its size.
        options: Of the mount in which a kernel fills it, where none of ours does; else "".
        subvolumes: Directories of `manifest` that are subvolumes.
        default_subvolume: As it was asked for.
    """

    type: str
    label: str
    uuid: str
    size: int
    block_size: int
    blocks: int
    inodes: int
    manifest: Manifest
    data_bytes: int
    free_bytes: int
    free_inodes: int
    written_bytes: int = 0
    structure_bytes: int = 0
    parts: tuple[tuple[Part, int], ...] = ()
    layout: Any = field(default=None, compare=False, repr=False)
    shortage: Shortage | None = None
    notes: tuple[str, ...] = ()
    refused: Sequence[Refused] = ()
    drops: Sequence[Drop] = ()
    most_bytes: int = 0
    options: str = ""
    subvolumes: tuple[str, ...] = ()
    default_subvolume: str = ""

    @property
    def filled(self) -> bool:
        """Whether anything goes in besides the root directory."""
        return any(entry.path for entry in islice(self.manifest, 2))


@dataclass(frozen=True, slots=True)
class Sized:
    """A file system whose size follows from its contents.

    Attributes:
        bytes: The place it takes, in whole MiB.
    """

    bytes: int
    filesystem: FilesystemPlan


class Driver(Protocol):
    """One format, as the planner sees it."""

    def granularity(self, sector_size: int) -> int:
        """Returns what the bytes of a volume are a multiple of, on a disk with such sectors."""
        ...

    def least(self, request: Request) -> Sized:
        """Returns the smallest that leaves `free` and `inodes`.

        Raises:
            DoesNotFit: None is large enough.
        """
        ...

    def smallest(self, request: Request) -> int:
        """Returns the bytes of the smallest that holds the contents, in whole MiB.

        Raises:
            DoesNotFit: None is large enough.
        """
        ...

    def fit(self, request: Request, size: int) -> FilesystemPlan:
        """Returns the file system in a place of so many bytes, whether or not it is large enough.

        Raises:
            DoesNotFit: None can be made of that size.
        """
        ...

    def make(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """Returns the commands that make it, empty, at a byte of an image; none if in process.

        Args:
            planned: The file system.
            image: The image.
            offset: Where it begins there.
            copy: A file of the volume alone, for programs that know no offset; what they make is
                moved into the image.
        """
        ...

    def check(self, planned: FilesystemPlan, image: str, offset: int, copy: str) -> Commands:
        """Returns the commands that check it without changing it.

        Args:
            planned: The file system.
            image: The image.
            offset: Where it begins there.
            copy: A copy of the volume alone, for programs that know no offset; made only where
                a command names it.
        """
        ...


class Writer(Protocol):
    """A module that writes one format in process; nothing is synchronised to the device.

    A format that its driver's commands make has no `make`.
    """

    def make(
        self,
        image: Path,
        offset: int,
        planned: FilesystemPlan,
        *,
        epoch: int,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Makes the file system, complete but for the data of its files.

        Args:
            image: A regular file that reaches to the file system's end, zero where that will be.
            offset: Byte where it begins.
            planned: As its driver planned it.
            epoch: Seconds since 1970, for times that are not an entry's.
            cancelled: Asked several times a second.

        Raises:
            engine.filesystems.populate.PopulateFailed: It cannot hold an entry.
            engine.filesystems.populate.Cancelled: `cancelled` said so.
            OSError: Writing the image failed.
        """
        ...

    def populate(
        self,
        image: Path,
        offset: int,
        planned: FilesystemPlan,
        *,
        epoch: int,
        progress: Progress = lambda done, total: None,
        observer: DataObserver | None = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Writes the data of the files into what `make` left, and what of the rest waits for it.

        Args:
            image: As for `make`.
            offset: As for `make`.
            planned: As for `make`, but for files that an installer made meanwhile.
            epoch: As for `make`.
            progress: Called now and then with bytes of data written and in all.
            observer: Takes every piece of data that is written, or its sum.
            cancelled: Asked several times a second.

        Raises:
            engine.filesystems.populate.PopulateFailed: It cannot hold an entry.
            engine.manifest.entry.SourceChanged: A source is not what was scanned.
            engine.filesystems.populate.Cancelled: `cancelled` said so.
            OSError: Reading a source or writing the image failed.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A file system that was made and filled, to be held against its plan.

    Attributes:
        image: The file it is in.
        offset: Byte where it begins.
        title: What the volume is called in messages.
        planned: As it was planned, with all that went in.
        alone: Whether nobody else has written to it since, as an installer in a virtual machine.
        report: Takes bytes compared and in all.
        cancelled: Asked several times a second.
    """

    image: Path
    offset: int
    title: str
    planned: FilesystemPlan
    alone: bool = True
    report: Progress = lambda done, total: None
    cancelled: Callable[[], bool] = lambda: False


class Check(Protocol):
    """A module that knows better than the reader how what was written is held against the plan."""

    def command(self, image: str, offset: int) -> tuple[str, ...]:
        """Returns the command that prints what is compared; none if the image is read."""
        ...

    def verdict(self, written: Written, printed: str) -> tuple[list[str], str]:
        """Returns what is not as planned, and what was seen to be, for the log.

        Args:
            written: The file system.
            printed: What the command printed.

        Raises:
            engine.image.reading.BadFilesystem: It cannot be read.
            engine.manifest.entry.SourceChanged: A source is no longer what was scanned.
        """
        ...

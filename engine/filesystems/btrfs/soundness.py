"""Looks for damage in a Btrfs that its reader does not meet.

Nodes and data have checksums, so that what is left is whether the trees agree, and the data of
files that nobody has read yet. `btrfs check` also goes through the trees of room and of references.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.filesystems.btrfs.reader import Btrfs, BtrfsFilesystem
from engine.filesystems.entrywise import MOST_ENTRIES, EntryLook, entries
from engine.image.reading import Examination, Findings, Node


def examine(btrfs: Btrfs) -> Examination:
    """Returns what is wrong with a file system, and what was not looked at."""
    if not isinstance(btrfs, BtrfsFilesystem):
        devices = btrfs.superblock.devices
        return Examination((), (f"all but its superblock: it is on {devices} devices",))
    unchecked = ["the trees of its room"]
    checksums = btrfs.superblock.checksums
    if not checksums.known:
        unchecked.append(f"checksums, which are {checksums.name}")
    if not btrfs.clean:
        unchecked.append("its log, which a mount replays")
    found = Findings()
    look = EntryLook(btrfs, found, _taken)
    look.go_through(_entries(btrfs))
    if look.complete:
        look.count_names()
    else:
        unchecked.append(f"what comes behind {MOST_ENTRIES} entries")
    if look.skipped:
        unchecked.append(f"the data of {look.skipped} files (`btrfs check` reads it)")
    return found.with_unchecked(*unchecked)


def _entries(btrfs: BtrfsFilesystem) -> Iterator[Node]:
    btrfs.subvolumes()  # whether all of them lie somewhere
    yield from entries(btrfs)


def _taken(node: Node) -> int:
    return sum(length for _, _, length in node.extents)

"""Looks for damage in a squashfs that its reader does not meet.

squashfs has neither checksums of its own nor a checker; what can be told is whether its structures
agree. Nothing is run. Source: Documentation/filesystems/squashfs.rst of the Linux kernel.
"""

from __future__ import annotations

from engine.filesystems.entrywise import MOST_ENTRIES, EntryLook, entries
from engine.filesystems.squashfs.reader import SquashFilesystem
from engine.image.reading import Examination, Findings


def examine(squashfs: SquashFilesystem) -> Examination:
    """Returns what is wrong with a file system, and what was not looked at."""
    found = Findings()
    look = EntryLook(squashfs, found, lambda node: node.size)
    look.go_through(entries(squashfs))
    if not look.complete:
        return found.with_unchecked(f"what comes behind {MOST_ENTRIES} entries")
    inodes = len(look.inodes)
    if inodes != squashfs.inodes:
        found.add("inodes", f"{inodes} inodes have a name, and there are {squashfs.inodes}")
    look.count_names()
    data = f"the data of {look.skipped} files (`unsquashfs` reads it)"
    return found.with_unchecked(*([data] if look.skipped else []))

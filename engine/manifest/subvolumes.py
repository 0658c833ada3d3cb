"""What goes into a file system with subvolumes, as that file system has it, and back.

Everything else knows the tree that is mounted; a program that fills the file system, or reads it,
knows the one from its top.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.disk.volume import Volume
from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from engine.manifest.memory import Elsewhere, copy, copy_of, directory


def arranged(manifest: Manifest, volume: Volume, mtime_ns: int) -> Manifest:
    """Returns what the file system of a volume holds, with its subvolumes as directories.

    A directory that a subvolume is mounted on stays, empty, where it is. Names of one inode that
    end up in two subvolumes become two files, each with the data: no link goes across.

    Args:
        manifest: What goes into the volume, as it is mounted.
        volume: Has the subvolumes.
        mtime_ns: Time of the directories that the contents do not have.
    """
    if not volume.subvolumes:
        return manifest
    there = volume.arrangement
    found: dict[bytes, Entry] = {}
    inodes: dict[tuple[int, bytes], Entry] = {}
    source = Elsewhere()

    def add(entry: Entry, path: bytes) -> None:
        first = entry.link_to or entry
        key = (id(first), there.home(path))
        known = inodes.get(key)
        new = copy_of(path, first, source)
        new.link_to = known
        inodes.setdefault(key, new)
        found[path] = new

    for entry in manifest:
        path = there.inside(entry.path)
        if there.is_point(entry.path) and there.above(entry.path) != path:
            add(entry, there.above(entry.path))
        add(entry, path)
    needed = (
        path for one in (*there.names, *map(there.above, there.points())) for path in _to(one)
    )
    for path in {b"", *needed} - set(found):
        found[path] = directory(path, mtime_ns=mtime_ns)
    entries = [found[path] for path in sorted(found, key=order)]
    return Manifest(entries, manifest.problems, manifest.origins)


def _to(path: bytes) -> Iterator[bytes]:
    """Yields a path and the directories above it, without the root."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]


def mounted(manifest: Manifest, volume: Volume) -> Manifest:
    """Returns the tree that is mounted, from what the file system of a volume holds."""
    if not volume.subvolumes:
        return manifest
    seen: dict[int, Entry] = {}
    entries = []
    for entry, path in sorted(_visible(manifest, volume), key=lambda one: order(one[1])):
        new = copy(entry)
        new.path = path
        new.link_to = None if entry.link_to is None else seen.get(id(entry.link_to))
        if entry.source is not None:
            new.source, new.stamp = _SAME, entry
        seen[id(entry)] = new
        entries.append(new)
    return Manifest(entries, manifest.problems, manifest.origins)


_SAME = Elsewhere()


def _visible(manifest: Manifest, volume: Volume) -> Iterator[tuple[Entry, bytes]]:
    """Yields entries with their paths, without the directories that others are mounted on."""
    there = volume.arrangement
    for entry in manifest:
        path = there.outside(entry.path)
        if path is not None and there.inside(path) == entry.path:
            yield entry, path

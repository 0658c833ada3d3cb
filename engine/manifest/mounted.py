"""The tree that a running system sees: every volume's entries below its mount point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from engine.disk.volume import Volume
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.manifest.memory import copy_of
from engine.manifest.volumes import Mounts, mounts, place


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path of the running system lies: a volume's id, and the path in that volume."""

    volume: str
    path: bytes


class Mounted:
    """The volumes of an image as one tree. Entries have the paths that a running system knows.

    An entry of the root volume is that volume's own; one of another volume is a stand-in with the
    same metadata and bytes.
    """

    def __init__(self, at: Mounts, contents: Mapping[str, Manifest]) -> None:
        self._at = at
        self._contents = contents
        self._known: dict[bytes, Entry | None] = {}

    def place(self, path: bytes) -> Place:
        """Returns where a path lies, whether or not there is anything."""
        return Place(*place(path, self._at))

    def get(self, path: bytes) -> Entry | None:
        """Returns the entry at a path (no leading slash), or None."""
        if path not in self._known:
            self._known[path] = self._found(path)
        return self._known[path]

    def _found(self, path: bytes) -> Entry | None:
        where = self.place(path)
        entry = self._there(where)
        if entry is None and path and not where.path:
            # Nothing is in the volume, so that the directory it is mounted on tells what it is.
            above, _, name = path.rpartition(b"/")
            parent = self.place(above)
            entry = self._there(Place(parent.volume, b"/".join(filter(None, (parent.path, name)))))
        if entry is None or where.path == path:
            return entry
        return copy_of(path, entry.link_to or entry)

    def _there(self, where: Place) -> Entry | None:
        manifest = self._contents.get(where.volume)
        return None if manifest is None else manifest.get(where.path)

    def under(self, path: bytes) -> Iterator[Entry]:
        """Yields everything below a directory, each volume's in order and with its parents."""
        where = self.place(path)
        yield from self._of_volume(path, where)
        for point in sorted(self._at):
            if point != path and point.startswith(path + b"/" if path else b"") and point:
                yield from self._of_volume(point, self.place(point))

    def within(self, path: bytes) -> Iterator[Entry]:
        """Yields what is directly in a directory, in order, without a look at what is below."""
        yield from self._of_volume(path, self.place(path), directly=True)

    def _of_volume(self, path: bytes, where: Place, *, directly: bool = False) -> Iterator[Entry]:
        manifest = self._contents.get(where.volume)
        if manifest is None:
            return
        point = path[: len(path) - len(where.path)].rstrip(b"/")
        for entry in (manifest.within if directly else manifest.under)(where.path):
            full = b"/".join(filter(None, (point, entry.path)))
            if full in self._at or place(full, self._at) == (where.volume, entry.path):
                yield entry if full == entry.path else copy_of(full, entry.link_to or entry)


def mounted(volumes: Iterable[Volume], contents: Mapping[str, Manifest]) -> Mounted:
    """Returns the tree that volumes make where they take what lies below their mount points."""
    return Mounted(mounted_at(volumes), contents)


def mounted_at(volumes: Iterable[Volume]) -> Mounts:
    """Returns the mount points that the contents are split at."""
    return mounts([(one.mount, one.id) for one in volumes if one.takes_below and one.mount])

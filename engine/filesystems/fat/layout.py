"""Decides where everything of a FAT file system goes, before a byte of it is written.

Every directory and file is in one piece: first the directories, then the files, both in the
manifest's order. What is not written is zero, so that the image keeps its holes there.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.filesystems.fat import format as fat
from engine.filesystems.fat.format import FIRST_CLUSTER, Volume
from engine.filesystems.fat.geometry import DIRECTORY_ENTRY, FatGeometry
from engine.filesystems.fat.measure import FatNeed, measure, original
from engine.filesystems.fat.names import long_entries, parse, shorten
from engine.filesystems.populate import PopulateFailed, refuse
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest

_WRITABLE = 0o222
_DOT, _DOT_DOT = b".".ljust(11), b"..".ljust(11)


class Layout:
    """The places of everything, from geometry and manifest alone.

    Attributes:
        need: What was counted, and is laid out.
        used: Clusters taken.
        places: The bytes, from the file system's start, where the data of a file goes, by the
            identity of the entry that has the data: one for each of its names.
    """

    def __init__(self, geometry: FatGeometry, manifest: Manifest, volume: Volume) -> None:
        """Lays everything out.

        Raises:
            PopulateFailed: The file system is too small or cannot hold an entry.
        """
        self.need = measure(manifest)
        _refuse(geometry, self.need)
        self.used = 0
        self.places: dict[int, list[int]] = {}
        self._geometry, self._volume = geometry, volume
        self._chains: list[tuple[int, int]] = []
        self._starts: dict[bytes, int] = {}
        self._children: dict[bytes, list[Entry]] = {}
        self._directories = [entry for entry in manifest if entry.is_directory]
        files = [entry for entry in manifest if entry.is_regular]
        for entry in self._directories:
            fixed = not entry.path and geometry.bits != 32
            size = self.need.directories[entry.path] * DIRECTORY_ENTRY
            self._starts[entry.path] = self._take(0 if fixed else size)
        for entry in files:
            start = self._starts[entry.path] = self._take(original(entry).size)
            if start:
                self.places.setdefault(id(original(entry)), []).append(self._place(start))
        for entry in manifest:
            if entry.path:
                self._children.setdefault(entry.parent, []).append(entry)
        assert self.used == self.need.clusters(geometry)

    def metadata(self) -> Iterator[tuple[int, bytes]]:
        """Yields position and bytes of all that is not data of a file, rising."""
        yield from fat.system_area(self._geometry, self._volume, self._chains, self.used)
        for entry in self._directories:
            content = b"".join(self._directory(entry))
            assert len(content) <= self.need.directories[entry.path] * DIRECTORY_ENTRY
            start = self._starts[entry.path]
            yield self._place(start) if start else self._geometry.root_start, content

    def _take(self, size: int) -> int:
        """Returns the first cluster for so many bytes, 0 where there are none."""
        count = self._geometry.clusters_for(size)
        if not count:
            return 0
        start = FIRST_CLUSTER + self.used
        self._chains.append((start, count))
        self.used += count
        return start

    def _place(self, cluster: int) -> int:
        geometry = self._geometry
        return geometry.data_start + (cluster - FIRST_CLUSTER) * geometry.cluster_size

    def _directory(self, folder: Entry) -> Iterator[bytes]:
        epoch = self._volume.epoch
        if folder.path:
            # ".." says 0 for the root directory, whatever cluster that begins in.
            above = self._starts[folder.parent] if folder.parent else 0
            for short, cluster in ((_DOT, self._starts[folder.path]), (_DOT_DOT, above)):
                yield fat.entry(
                    short, fat.DIRECTORY, epoch=epoch, mtime_ns=folder.mtime_ns, cluster=cluster
                )
        elif self._volume.label:
            label = fat.label_bytes(self._volume.label)
            yield fat.entry(label, fat.VOLUME, epoch=epoch, mtime_ns=epoch * 1_000_000_000)
        children = self._children.get(folder.path, ())
        names = shorten(parse(child.name.decode()) for child in children)
        for child, (name, short) in zip(children, names, strict=True):
            yield from long_entries(name, short)
            yield fat.entry(
                short, _attributes(child), epoch=epoch, mtime_ns=child.mtime_ns,
                flags=name.flags or 0, cluster=self._starts[child.path],
                size=0 if child.is_directory else original(child).size,
            )  # fmt: skip


def _attributes(entry: Entry) -> int:
    """Returns the attributes Linux gives: read-only is a file that nobody may write."""
    if entry.is_directory:
        return fat.DIRECTORY
    return fat.ARCHIVE | (0 if entry.mode & _WRITABLE else fat.READ_ONLY)


def _refuse(geometry: FatGeometry, need: FatNeed) -> None:
    for one in need.unholdable:
        raise refuse(one.entry, one.reason)
    if not need.fits_root(geometry):
        raise PopulateFailed(
            f"the names in the root directory take {need.root_slots} directory entries, and "
            f"FAT{geometry.bits} has {geometry.root_entries} for them"
        )
    if not need.fits(geometry):
        raise PopulateFailed(
            f"the contents take {need.clusters(geometry)} clusters of {geometry.cluster_size} "
            f"bytes, and the FAT file system has {geometry.clusters}"
        )

"""What a manifest takes from a FAT file system, and what of it FAT cannot hold.

The writer lays out what is counted here and nothing else (`layout`).

Source: Microsoft FAT specification (fatgen103), sections on directory entries and long names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from engine.filesystems.fat.format import holds_time
from engine.filesystems.fat.geometry import (
    DIRECTORY_ENTRY,
    MAX_DIRECTORY_ENTRIES,
    MAX_FILE_BYTES,
    FatGeometry,
)
from engine.filesystems.fat.names import parse, reason_against
from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest
from engine.units import in_bytes

_OF_ROOT = 1  # the volume label
_OF_OTHERS = 2  # "." and ".."


@dataclass(frozen=True, slots=True)
class Unholdable:
    """An entry that FAT cannot hold, and why (a sentence)."""

    entry: Entry
    reason: str


@dataclass(frozen=True, slots=True)
class FatNeed:
    """What a manifest takes, whatever the cluster size.

    Attributes:
        sizes: How many files there are of each size, every hard link counted: links become copies.
        slots: How many directories there are with so many 32-byte entries, the root left out.
        root_slots: Entries of the root directory, the volume label's included.
        data_bytes: Bytes of all files.
        unholdable: Entries that make the build impossible.
        stripped: Entries whose owner, xattrs or hard link FAT leaves out.
        clamped: Entries whose time lies outside the years that FAT knows.
        directories: The 32-byte entries of each directory by its path.
    """

    sizes: tuple[tuple[int, int], ...]
    slots: tuple[tuple[int, int], ...]
    root_slots: int
    data_bytes: int
    unholdable: tuple[Unholdable, ...]
    stripped: int
    clamped: int
    directories: Mapping[bytes, int] = field(compare=False, repr=False)

    def clusters(self, layout: FatGeometry) -> int:
        """Returns the clusters taken, a FAT32 root directory's included."""
        files = sum(layout.clusters_for(length) * count for length, count in self.sizes)
        return files + self._directory_clusters(layout)

    def directory_bytes(self, layout: FatGeometry) -> int:
        """Returns the bytes of the clusters that hold names."""
        return self._directory_clusters(layout) * layout.cluster_size

    def fits(self, layout: FatGeometry) -> bool:
        """Whether a file system has the clusters, and the room in a fixed root directory."""
        return self.clusters(layout) <= layout.clusters and self.fits_root(layout)

    def fits_root(self, layout: FatGeometry) -> bool:
        """Whether the root directory, which FAT12 and FAT16 fix, has room for its names."""
        return layout.bits == 32 or self.root_slots <= layout.root_entries

    def _directory_clusters(self, layout: FatGeometry) -> int:
        found = sum(layout.clusters_for(slots * DIRECTORY_ENTRY) * n for slots, n in self.slots)
        if layout.bits == 32:
            found += layout.clusters_for(self.root_slots * DIRECTORY_ENTRY)
        return found


_measured: WeakKeyDictionary[Manifest, FatNeed] = WeakKeyDictionary()


def measure(manifest: Manifest) -> FatNeed:
    """Returns what a manifest takes; computed once for each manifest."""
    if manifest not in _measured:
        _measured[manifest] = _measure(manifest)
    return _measured[manifest]


def original(entry: Entry) -> Entry:
    """Returns the entry whose size and data a file has: that of its first name."""
    return entry.link_to or entry


def _measure(manifest: Manifest) -> FatNeed:
    sizes: Counter[int] = Counter()
    slots: dict[bytes, int] = {b"": _OF_ROOT}
    seen: dict[tuple[bytes, str], Entry] = {}
    folders: dict[bytes, Entry] = {}
    unholdable: list[Unholdable] = []
    stripped = clamped = data = 0
    for entry in manifest.entries:
        if entry.is_directory:
            slots.setdefault(entry.path, _OF_OTHERS)
            folders[entry.path] = entry
        elif entry.is_regular:
            size = original(entry).size
            sizes[size] += 1
            data += size
        reason = _reason(entry)
        if entry.path and not reason:
            name = entry.name.decode()
            slots[entry.parent] = slots.get(entry.parent, _OF_OTHERS) + parse(name).entries
            key = (entry.parent, name.upper())
            if key in seen:
                reason = f"on FAT it is the same as {_show(seen[key])}: only the case differs"
            seen[key] = entry
        if reason:
            unholdable.append(Unholdable(entry, reason))
        stripped += bool(entry.uid or entry.gid or entry.xattrs or entry.link_to is not None)
        clamped += bool(entry.path) and not holds_time(entry.mtime_ns)
    for path, count in slots.items():
        if count > MAX_DIRECTORY_ENTRIES and path in folders:
            reason = (
                f"its names take {count} directory entries, and a directory on FAT has at most "
                f"{MAX_DIRECTORY_ENTRIES}"
            )
            unholdable.append(Unholdable(folders[path], reason))
    return FatNeed(
        sizes=tuple(sorted(sizes.items())),
        slots=tuple(sorted(Counter(count for path, count in slots.items() if path).items())),
        root_slots=slots[b""],
        data_bytes=data,
        unholdable=tuple(unholdable),
        stripped=stripped,
        clamped=clamped,
        directories=slots,
    )


def _reason(entry: Entry) -> str:
    """Returns why FAT cannot hold an entry, or ""."""
    if entry.is_symlink:
        return "FAT has no symbolic links"
    if not (entry.is_directory or entry.is_regular):
        return "FAT has no devices, pipes or sockets"
    size = original(entry).size
    if size > MAX_FILE_BYTES:
        return f"it has {in_bytes(size)}, and a file on FAT at most {MAX_FILE_BYTES:,}"
    return reason_against(entry.name) if entry.path else ""


def _show(entry: Entry) -> str:
    return "/" + entry.path.decode(errors="backslashreplace")

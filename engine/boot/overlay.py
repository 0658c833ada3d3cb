"""Puts a few files into a manifest of any size, without walking the merge again."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from engine.manifest.memory import copy, copy_of, directory


def overlay(manifest: Manifest, added: Iterable[Entry], removed: Iterable[bytes] = ()) -> Manifest:
    """Returns a manifest with files added or replaced, and others left out.

    Missing parents are made, with the time of the root directory.

    Args:
        manifest: Stays as it is.
        added: Files; one that is there already is replaced.
        removed: Paths left out, none of them a directory.
    """
    new = {entry.path: entry for entry in added}
    gone = new.keys() | set(removed)
    if not gone:
        return manifest
    if not any(manifest.get(path) for path in gone):
        known = manifest.overlaid(_with_parents(manifest, new))
        if known is not None:
            return known
    entries = [entry for entry in manifest.entries if entry.path not in gone]
    if len(entries) < len(manifest.entries):
        entries = _inherited(entries, [e for e in map(manifest.get, gone) if e is not None])
    epoch_ns = entries[0].mtime_ns if entries and not entries[0].path else 0
    for path in sorted(new):
        for folder in _above(path):
            _insert(entries, directory(folder, mtime_ns=epoch_ns), keep=True)
        _insert(entries, new[path])
    base = manifest.base or manifest
    return Manifest(entries, manifest.problems, manifest.origins, base)


def _with_parents(manifest: Manifest, new: Mapping[bytes, Entry]) -> list[Entry]:
    """Returns files and the directories that they lie in and that are not there, in order."""
    root = manifest.get(b"")
    epoch_ns = root.mtime_ns if root is not None else 0
    found = dict(new)
    for path in new:
        for folder in _above(path):
            if folder not in found and manifest.get(folder) is None:
                found[folder] = directory(folder, mtime_ns=epoch_ns)
    return sorted(found.values(), key=lambda entry: order(entry.path))


def _above(path: bytes) -> Iterable[bytes]:
    """Yields the directories that a path lies in, the outermost first."""
    parts = path.split(b"/")
    return (b"/".join(parts[:depth]) for depth in range(1, len(parts)))


def _insert(entries: list[Entry], entry: Entry, *, keep: bool = False) -> None:
    key = order(entry.path)
    at = bisect_left(entries, key, key=lambda one: order(one.path))
    if at < len(entries) and entries[at].path == entry.path:
        if not keep:
            entries[at] = entry
        return
    entries.insert(at, entry)


def _inherited(entries: list[Entry], gone: Sequence[Entry]) -> list[Entry]:
    """Gives the other names of an inode whose first name is gone an inode of their own."""
    heirs: dict[int, Entry | None] = {id(entry): None for entry in gone if entry.link_to is None}
    result = []
    for entry in entries:
        first = entry.link_to
        kept = entry
        if first is not None and id(first) in heirs:
            heir = heirs[id(first)]
            if heir is None:
                kept = heirs[id(first)] = copy_of(entry.path, first)
            else:
                kept = copy(entry)
                kept.link_to = heir
        result.append(kept)
    return result

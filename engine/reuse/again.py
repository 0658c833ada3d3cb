"""Looks again at those few sources that changed, in place of a scan of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from engine.manifest import owners
from engine.manifest.entry import Entry
from engine.manifest.findings import Findings
from engine.manifest.folder import FolderSource
from engine.manifest.mounted import mounted_at
from engine.manifest.progress import Ticker
from engine.manifest.scan import Scanned, rules_of
from engine.manifest.volumes import Mounts, place
from engine.manifest.walk import Rules, Walk
from engine.packed import numbers
from engine.reuse import remembered
from engine.reuse.kept import Kept
from engine.reuse.record import Record, SourceRecord
from engine.reuse.remembered import Rows
from engine.spec.settings import ContentSettings, Settings

_NEVER = 0


@dataclass(frozen=True, slots=True)
class Again:
    """What the sources hold now.

    Attributes:
        scanned: What a scan would return, but for what it counts of content entries.
        sources: What was seen of them, for the next record.
    """

    scanned: Scanned
    sources: tuple[SourceRecord, ...]


def look_again(
    record: Record, kept: Sequence[Kept], changes: Sequence[Sequence[int]], settings: Settings
) -> Again | None:
    """Returns what the sources of the last build hold now.

    Args:
        record: Of the last build, of the same spec.
        kept: What it had of its volumes.
        changes: What changed since (`engine.reuse.sources.changes`).
        settings: The spec, resolved.

    Returns:
        None where more changed than the data and the time of files, and the time of directories
        whose names stay: a scan tells what that means.
    """
    if {one.id for one in kept} != {one.id for one in settings.volumes}:
        return None
    if any(_named(content) for content in settings.contents):
        return None  # the tables of users and groups may be what changed
    look = _Look(settings, {one.id: Rows(one) for one in kept}, mounted_at(settings.volumes))
    sources = []
    for source, changed in zip(record.sources, changes, strict=True):
        after = look.source(source, changed) if changed else source
        if after is None:
            return None
        sources.append(after)
    manifests = {name: remembered.manifest(rows) for name, rows in look.rows.items()}
    return Again(Scanned(manifests, {}), tuple(sources))


def _named(content: ContentSettings) -> bool:
    return any(name and owners.numeric(name) is None for name in (content.user, content.group))


@dataclass(slots=True)
class _Look:
    """One look at what changed.

    Attributes:
        settings: The spec, resolved.
        rows: By id of the volume, its entries.
        at: Where volumes are mounted.
    """

    settings: Settings
    rows: dict[str, Rows]
    at: Mounts
    _names: dict[int, list[bytes]] = field(default_factory=dict)

    def source(self, source: SourceRecord, changed: Sequence[int]) -> SourceRecord | None:
        """Looks at what changed of a source; returns what was seen, or None."""
        content = next(
            (one for one in self.settings.contents if f"contents[{one.index}]" == source.where),
            None,
        )
        if content is None:
            return None
        findings = Findings()
        rules = rules_of(self.settings, content, findings)
        names = source.names.split(b"\0")[:-1]
        stamps = numbers("q", source.stamps)
        for number in changed:
            stamp = self._entry(source, content, rules, names, number)
            if stamp is None:
                return None
            stamps[number] = stamp
        return msgspec.structs.replace(source, stamps=stamps.tobytes())

    def _entry(
        self, source: SourceRecord, content: ContentSettings, rules: Rules,
        names: Sequence[bytes], number: int,
    ) -> int | None:  # fmt: skip
        """Looks at an entry; returns its stamp for the record."""
        name = names[number]
        path = source.target if not number else b"/".join(filter(None, (source.target, name)))
        home, inside = (content.volume, path) if content.volume else place(path, self.at)
        rows = self.rows.get(home)
        index = rows.at(inside) if rows is not None else None
        if rows is None or index is None:
            return None
        old = rows[index]
        folder = FolderSource(source.folder)
        if not isinstance(old.source, FolderSource) or old.link_to is not None:
            return None
        if old.source.place(old.source.origin(old)) != folder.place(name):
            return None  # something else is there
        findings = Findings()
        walk = Walk(rules, Ticker(), findings)
        new, inside_now = walk.again(folder, name)
        if new is None or list(findings) or not _alike(old, new):
            return None
        if new.is_directory:
            if path and path in self.at:
                return None  # it is two directories, one of them the root of a volume
            if inside_now != _inside(names, number):
                return None
        assert isinstance(new.stamp, int)
        recent = new.stamp in folder.recent
        if recent:
            old.source.recent.add(new.stamp)
        new.path, new.source = old.path, old.source
        rows.change(index, new)
        return _NEVER if recent else new.stamp


def _alike(old: Entry, new: Entry) -> bool:
    """Whether an entry is what it was but for its data and its time."""
    if not (old.is_regular or old.is_directory) or bool(old.size) != bool(new.size):
        return False
    return (
        (old.mode, old.uid, old.gid, old.xattrs, old.rdev, old.target, None, None)
        == (new.mode, new.uid, new.gid, new.xattrs, new.rdev, new.target, old.extents, new.extents)
    )  # fmt: skip


def _inside(names: Sequence[bytes], number: int) -> list[bytes]:
    """Returns the names in a directory, as they were listed.

    Args:
        names: Paths in the folder, each directory before what is in it.
        number: Of the directory.
    """
    prefix = names[number] + b"/" if names[number] else b""
    found = []
    at = number + 1
    while at < len(names) and names[at].startswith(prefix):
        below = names[at][len(prefix) :]
        if b"/" not in below:
            found.append(below)
        at += 1
    return found

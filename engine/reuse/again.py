"""Looks again at what changed of the sources, in place of a scan of all of them."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from engine.manifest import owners
from engine.manifest.content import rules_of
from engine.manifest.findings import Findings
from engine.manifest.folder import FolderSource
from engine.manifest.oci.recognise import is_image_folder
from engine.manifest.progress import Ticker
from engine.manifest.scan import Scanned
from engine.manifest.walk import Rules, Walk
from engine.reuse import remembered
from engine.reuse.kept import Kept
from engine.reuse.listed import Listed
from engine.reuse.record import Record, Seen, SourceRecord
from engine.reuse.trees import Scan, Trees
from engine.spec.settings import ContentSettings, Settings


@dataclass(frozen=True, slots=True)
class Again:
    """What the sources hold now.

    Attributes:
        scanned: What a scan would return, but for what it counts of content entries.
        seen: What was seen of them, for the next record.
    """

    scanned: Scanned
    seen: Seen


def look_again(
    record: Record, kept: Sequence[Kept], changes: Sequence[Sequence[int]], settings: Settings,
    brought: Sequence[bytes | msgspec.Raw] = (),
) -> Again | None:  # fmt: skip
    """Returns what the sources of the last build hold now.

    Args:
        record: Of the last build, of the same spec.
        kept: What it had of its volumes.
        changes: What changed since (`engine.reuse.sources.changes`).
        settings: The spec, resolved.
        brought: What the archives among the sources brought (`engine.reuse.brought`).

    Returns:
        None where it is not certain what a scan would make of a change.
    """
    if {one.id for one in kept} != {one.id for one in settings.volumes}:
        return None
    if any(_named(content) for content in settings.contents):
        return None  # the tables of users and groups may be what changed
    seen = Seen(record.sources, record.archives, brought)
    if len(seen.archives) != len(brought):
        return None
    try:
        trees = Trees(kept, settings, seen)
        sources = [
            _source(trees, settings, source, changed) if changed else source
            for source, changed in zip(record.sources, changes, strict=True)
        ]
        rows = trees.edited()
    except Scan:
        return None
    manifests = {name: remembered.manifest(one) for name, one in rows.items()}
    return Again(Scanned(manifests, {}), seen._replace(sources=tuple(sources)))


def _named(content: ContentSettings) -> bool:
    return any(name and owners.numeric(name) is None for name in (content.user, content.group))


def _source(
    trees: Trees, settings: Settings, source: SourceRecord, changed: Sequence[int]
) -> SourceRecord:
    """Looks at what changed of a source; returns what was seen.

    Raises:
        Scan: It takes one.
    """
    where = (one for one in settings.contents if f"contents[{one.index}]" == source.where)
    content = next(where, None)
    if content is None or content.extract or is_image_folder(source.folder):
        raise Scan
    if bool(content.user) != bool(content.group):
        raise Scan  # a walk gives none of the two
    rules = rules_of(settings, content, Findings())
    listed = Listed(source)
    look = _Look(trees, content, rules, source.folder, listed)
    for number in changed:
        if not listed.is_gone(number):
            look.entry(number)
    return listed.record()


class _Look:
    """One look at what changed of a source."""

    def __init__(
        self, trees: Trees, content: ContentSettings, rules: Rules, folder: bytes, listed: Listed
    ) -> None:
        self._trees = trees
        self._content = content
        self._rules = rules
        self._folder = folder
        self._listed = listed

    def entry(self, number: int) -> None:
        """Looks at something that changed.

        Raises:
            Scan: It takes one.
        """
        name, path = self._listed.names[number], self._listed.path(number)
        folder, walk = FolderSource(self._folder), self._walk()
        new, names = walk.again(folder, name)
        if new is None or list(walk.findings):
            raise Scan
        old = self._trees.entry(self._content, path)
        if old is None or stat.S_IFMT(old.mode) != stat.S_IFMT(new.mode):
            raise Scan
        assert isinstance(new.stamp, int)
        recent = new.stamp in folder.recent
        self._listed.stamp(number, new.stamp, recent=recent)
        self._trees.change(self._content, path, new, self._folder, name, recent=recent)
        if new.is_directory:
            self._names(number, names)

    def _names(self, number: int, names: list[bytes]) -> None:
        """Takes the names in a directory as they are."""
        inside = self._listed.inside(number)
        for name in inside.keys() - set(names):
            for at in self._listed.remove(inside[name]):
                path, below = self._listed.path(at), self._listed.names[at]
                self._trees.remove(self._content, path, self._folder, below)
        more = [name for name in names if name not in inside]
        if more:
            self._more(self._listed.names[number], self._listed.path(number), more)

    def _more(self, folder: bytes, image: bytes, names: list[bytes]) -> None:
        """Takes names that were not there, or were left out."""
        source, walk = FolderSource(self._folder, self._listed.target), self._walk()
        found = walk.below(source, folder, names, image)
        if walk.has_links or list(walk.findings):
            raise Scan
        for entry in found:
            assert isinstance(entry.stamp, int)
            path, below, recent = entry.path, source.origin(entry), entry.stamp in source.recent
            self._listed.add(below, entry.stamp, recent=recent)
            self._trees.add(self._content, path, entry, self._folder, below, recent=recent)

    def _walk(self) -> Walk:
        return Walk(self._rules, Ticker(), Findings())

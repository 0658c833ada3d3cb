"""Looks again at what changed of the sources, in place of a scan of all of them."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec

from engine.manifest.content import rules_of
from engine.manifest.entry import Entry
from engine.manifest.findings import Findings
from engine.manifest.folder import FolderSource
from engine.manifest.oci.recognise import is_image_folder
from engine.manifest.progress import Ticker
from engine.manifest.scan import Scanned
from engine.manifest.walk import Rules, Walk
from engine.reuse import remembered
from engine.reuse.kept import Kept
from engine.reuse.listed import Listed
from engine.reuse.record import NEVER, Record, Seen, SourceRecord
from engine.reuse.tree import Scan
from engine.reuse.trees import Trees
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
    owned = any(content.user or content.group for content in settings.contents)
    if owned and settings.rules.chowns_targets:
        return None  # an owner goes to what other content entries bring, too
    seen = Seen(record.sources, record.archives, brought)
    if len(seen.archives) != len(brought):
        return None
    try:
        trees = Trees(kept, settings, seen)
        inodes: set[tuple[int, int]] = set()
        sources = [
            _source(trees, settings, source, changed, inodes) if changed else source
            for source, changed in zip(record.sources, changes, strict=True)
        ]
        rows = trees.edited()
    except Scan:
        return None
    manifests = {name: remembered.manifest(one) for name, one in rows.items()}
    return Again(Scanned(manifests, {}), seen._replace(sources=tuple(sources)))


def _source(
    trees: Trees, settings: Settings, source: SourceRecord, changed: Sequence[int],
    inodes: set[tuple[int, int]],
) -> SourceRecord:  # fmt: skip
    """Looks at what changed of a source; returns what was seen.

    Args:
        trees: The volumes, which get it.
        settings: The spec, resolved.
        source: What was seen before.
        changed: Numbers of names.
        inodes: Those with several names that were come across in other sources; gets more.

    Raises:
        Scan: It takes one.
    """
    where = (one for one in settings.contents if f"contents[{one.index}]" == source.where)
    content = next(where, None)
    if content is None or content.extract or is_image_folder(source.folder):
        raise Scan
    rules = rules_of(settings, content, Findings())
    if content.user or content.group:
        rules = replace(rules, owner=trees.owner(content))
    listed = Listed(source)
    look = _Look(trees, content, rules, source.folder, listed)
    for number in changed:
        if not listed.is_gone(number):
            look.entry(number)
    look.links(inodes)
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
        self._links: dict[tuple[int, int], dict[int, Entry]] = {}
        self._recent: set[int] = set()

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
        if walk.shared:
            (inode,) = walk.shared
            self._links.setdefault(inode, {})[number] = new
            self._recent |= folder.recent
            return
        self._trees.change(self._content, path, new, self._folder, name, recent=recent)
        if new.is_directory:
            self._names(number, names)

    def links(self, inodes: set[tuple[int, int]]) -> None:
        """Takes those inodes that have several names, each with all that it had.

        Args:
            inodes: That were come across in other sources; gets those of this one.

        Raises:
            Scan: It takes one.
        """
        listed = self._listed
        for inode, names in self._links.items():
            stamps = {entry.stamp for entry in names.values()}
            before = {listed.stamp_of(number) for number in names}
            if inode in inodes or len(stamps) > 1 or len(before) > 1 or NEVER in before:
                raise Scan
            (stamp,) = before
            if self._trees.names_of(stamp) != len(names) or listed.names_of(stamp) != set(names):
                raise Scan
            self._trees.change_names(
                self._content,
                [(listed.path(at), listed.names[at], names[at]) for at in sorted(names)],
                self._folder,
                recent=not stamps.isdisjoint(self._recent),
            )
        inodes |= self._links.keys()

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
        if walk.shared or list(walk.findings):
            raise Scan
        for entry in found:
            assert isinstance(entry.stamp, int)
            path, below, recent = entry.path, source.origin(entry), entry.stamp in source.recent
            self._listed.add(below, entry.stamp, recent=recent)
            self._trees.add(self._content, path, entry, self._folder, below, recent=recent)

    def _walk(self) -> Walk:
        return Walk(self._rules, Ticker(), Findings())

"""Turns the contents of a spec into the entries of its file systems, by one walk over all sources.

What a person can get wrong is a problem of the manifest, never an exception. Nothing is copied
and nothing is written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.disk.volume import Volume
from engine.manifest import owners
from engine.manifest.content import key_of, part_of
from engine.manifest.entry import Entry, Source
from engine.manifest.findings import Findings, shown
from engine.manifest.leftovers import container_leftovers
from engine.manifest.manifest import Manifest
from engine.manifest.merge import Merged, merge
from engine.manifest.mounted import mounted_at
from engine.manifest.part import Part
from engine.manifest.progress import IsCancelled, OnProgress, ScanCancelled, Ticker
from engine.manifest.quiet import without_collection
from engine.manifest.volumes import mount_points, mounts, split
from engine.manifest.walk import Rules, Walk
from engine.problem import Problem
from engine.spec.settings import ContentSettings, Settings

__all__ = ["ContentCount", "ScanCache", "ScanCancelled", "Scanned", "scan"]

_PAYLOAD = b"payload"
_TYPE, _REGULAR = 0o170000, stat.S_IFREG
_SECOND_NS = 1_000_000_000
_FEW = 16
"""Entries up to which a share is compared by what it is."""


@dataclass(frozen=True, slots=True)
class ContentCount:
    """What one content entry brings.

    Attributes:
        entries: Names.
        bytes: Of regular files, each inode once.
        about: What a container image says about itself, or "".
    """

    entries: int
    bytes: int
    about: str = ""


@dataclass(frozen=True, slots=True)
class Scanned:
    """The entries of an image.

    Attributes:
        volumes: By id of the volume.
        counts: By index of the content entry.
    """

    volumes: Mapping[str, Manifest]
    counts: Mapping[int, ContentCount]

    @property
    def entries(self) -> int:
        """How many names there are, on all volumes."""
        return sum(map(len, self.volumes.values()))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the sources, of all volumes."""
        return tuple(one for manifest in self.volumes.values() for one in manifest.problems)


class ScanCache:
    """What was walked, kept for the next scan of the same session.

    A content entry is walked again only when one of its options changes.
    """

    def __init__(self) -> None:
        self._parts: dict[Hashable, Part] = {}
        self._shares: dict[Hashable, dict[str, Part]] = {}
        self._manifests: dict[str, _Known] = {}

    def put(self, settings: Settings, content: ContentSettings, part: Part) -> None:
        """Takes what a content entry of some settings brings, where that is known already."""
        self._parts[key_of(settings, content)] = part


@dataclass(frozen=True, slots=True)
class _Known:
    """The manifest of a volume.

    Attributes:
        exact: What it was made of.
        alike: The same, but that folders from elsewhere count as the same where they are alike.
    """

    exact: Hashable
    alike: Hashable
    manifest: Manifest

    def answers(self, exact: Hashable, alike: Hashable) -> bool:
        """Whether it is what would be made; a problem may name one source, and not one like it."""
        return self.exact == exact or (self.alike == alike and not self.manifest.problems)


def scan(
    settings: Settings,
    *,
    progress: OnProgress | None = None,
    cancelled: IsCancelled | None = None,
    cache: ScanCache | None = None,
    extra: Sequence[Part] = (),
) -> Scanned:
    """Scans all contents.

    Args:
        settings: The resolved spec.
        progress: Called with entries and bytes so far, about ten times a second.
        cancelled: Asked as often whether to stop.
        cache: Walks of earlier scans; contents that are unchanged are not walked again, and a
            file system of which nothing changed has the same Manifest object.
        extra: What is not in the contents but goes through the same merge, by mount point (a Nix
            closure).

    Raises:
        ScanCancelled: `cancelled` said so.
    """
    cache = cache if cache is not None else ScanCache()
    ticker = Ticker(progress, cancelled)
    counts: dict[int, ContentCount] = {}
    at = mounted_at(settings.volumes)
    # The reference mounts its boot partitions too, and leaves the directories to the system.
    mounted = settings.volumes if settings.rules.makes_mount_points else ()
    points = tuple(mounts([(one.mount, one.id) for one in mounted if one.mount]))
    parts: dict[str, list[Part]] = {volume.id: [] for volume in settings.volumes}
    keys: dict[str, list[tuple[Hashable, Hashable]]] = {one.id: [] for one in settings.volumes}
    shares: dict[Hashable, dict[str, Part]] = {}
    where = (tuple(sorted(at.items())), points)
    fresh: dict[Hashable, Part] = {}
    roots = [volume.id for volume in settings.volumes if volume.role == "root"]
    main = roots[0] if roots else ""
    with without_collection():
        for content in settings.contents:
            key = key_of(settings, content)
            part = cache._parts.get(key) or part_of(settings, content, ticker)
            fresh[key] = part
            counts[content.index] = _count(part)
            for number, each in enumerate((part, *part.also)):
                part = replace(each, where=f"contents[{content.index}]")
                known_as = content.index, key, number, where
                found = cache._shares.get(known_as) or (
                    {content.volume: part} if content.volume else split(part, at)
                )
                shares[known_as] = found
                for volume, share in found.items():
                    parts.setdefault(volume, []).append(share)
                    keys.setdefault(volume, []).append(_keys((content.index, key), share))
        for part in extra:
            for volume, share in split(part, at).items():
                parts.setdefault(volume, []).append(share)
                keys.setdefault(volume, []).append((id(part), id(part)))
        for volume, share in mount_points(
            points, at, settings.identity.source_date_epoch * _SECOND_NS
        ).items():
            parts.setdefault(volume, []).append(share)
            keys.setdefault(volume, [])  # "" where nothing is mounted at /: a problem by itself
        manifests: dict[str, Manifest] = {}
        for volume in sorted(parts, key=lambda name: name != main):
            named = any(part.user or part.group for part in parts[volume])
            system = manifests.get(main) if named else None
            common = where, id(system), settings.identity.source_date_epoch
            exact, alike = (tuple(pair[at] for pair in keys[volume]) + common for at in (0, 1))
            known = cache._manifests.get(volume)
            if known is None or not known.answers(exact, alike):
                made = _manifest(settings, parts[volume], system, is_root=volume in roots)
                known = _Known(exact, alike, made)
                cache._manifests[volume] = known
            manifests[volume] = known.manifest
        for raw in settings.volumes:
            if raw.source:
                manifests[raw.id] = _payload(settings, raw, ticker)
    cache._parts, cache._shares = fresh, shares
    ticker.report()
    return Scanned(manifests, counts)


def _keys(exact: Hashable, share: Part) -> tuple[Hashable, Hashable]:
    """Returns what a share comes from, and what it is where that is a few folders.

    So images that each bring a folder of their own for the mount point of another volume have one
    manifest of what they have in common.
    """
    folders = [entry for entry in share.entries[:_FEW] if entry.is_directory]
    if share.findings or share.heads or len(folders) < len(share.entries):
        return exact, exact
    return exact, (
        share.where, share.kind, share.target, share.stated, share.user, share.group,
        share.replaces, share.into,
        *((one.path, one.mode, one.uid, one.gid, one.mtime_ns, one.xattrs) for one in folders),
    )  # fmt: skip


def _count(part: Part) -> ContentCount:
    sizes = [e.size for e in part.entries if e.mode & _TYPE == _REGULAR and e.link_to is None]
    return ContentCount(len(part.entries), sum(sizes), part.about)


def _payload(settings: Settings, volume: Volume, ticker: Ticker) -> Manifest:
    """Returns the file that a raw volume holds, as the one entry of a manifest."""
    findings = Findings()
    source = os.path.realpath(os.fsencode(volume.source))
    walk = Walk(Rules(made_ns=settings.identity.source_date_epoch * _SECOND_NS), ticker, findings)
    if not os.path.lexists(source):
        findings.add(
            "source-missing",
            f"{shown(source)} does not exist",
            "check the path; a relative one is taken from the folder of the spec",
        )
    elif not os.path.isfile(source):
        findings.add("source-not-a-file", f"{shown(source)} is not a file", "name a file")
    else:
        walk.single(source, _PAYLOAD)
    return Manifest(walk.entries, [found.problem(volume.path) for found in findings])


def _manifest(
    settings: Settings, parts: Sequence[Part], system: Manifest | None, *, is_root: bool
) -> Manifest:
    """Merges the parts and gives owners their numbers.

    Args:
        settings: The resolved spec.
        parts: What the volume gets.
        system: The root that has the tables of users and groups, where that is another volume.
        is_root: The volume is mounted at /, so that everyone must be able to enter it.
    """
    rules = settings.rules
    epoch_ns = settings.identity.source_date_epoch * _SECOND_NS
    merged = merge(parts, epoch_ns=epoch_ns, spec_order=rules.merges_in_order)
    problems = list(merged.problems)
    entries = merged.entries
    chosen, owned = _owners(parts, merged, system, problems, below_targets=rules.chowns_targets)
    if chosen:
        entries = owners.give(entries, chosen)
    if rules.loses_dotfiles:
        problems += _dotfiles(entries)
    if is_root and entries and entries[0].mode & 0o005 != 0o005:
        problems.append(_closed_root(entries[0]))
    if is_root:
        problems += container_leftovers(entries)
    return Manifest(entries, problems, _origins(parts), owned=owned)


def _origins(parts: Sequence[Part]) -> dict[str, tuple[Source, ...]]:
    """Returns the sources of each part's data, by the content entry that it is of."""
    found: dict[str, dict[int, Source]] = {}
    for part in parts:
        sources = [entry.source for entry in part.entries]
        distinct = dict(zip(map(id, sources), sources, strict=True))
        found.setdefault(part.where, {}).update(
            (key, source) for key, source in distinct.items() if source is not None
        )
    return {where: tuple(sources.values()) for where, sources in found.items()}


def _owners(
    parts: Sequence[Part],
    merged: Merged,
    system: Manifest | None,
    problems: list[Problem],
    *,
    below_targets: bool,
) -> tuple[dict[int, owners.Owner], dict[str, owners.Owner]]:
    """Returns owners by id() of those entries that a part gives to a user and group.

    Returns:
        These, and owners by the content entry that gives them.
    """
    chosen: dict[int, owners.Owner] = {}
    owned: dict[str, owners.Owner] = {}
    tree = Manifest(merged.entries)
    accounts = owners.Accounts((tree if system is None else system).get)
    for part, placed in zip(parts, merged.placed, strict=True):
        if not part.user and not part.group:
            continue
        findings = Findings()
        uid = accounts.uid(part.user, findings) if part.user else 0
        gid = accounts.gid(part.group, findings) if part.group else 0
        problems.extend(found.problem(part.where) for found in findings)
        if uid is None or gid is None:
            continue
        owned[part.where] = uid, gid
        given: Iterable[Entry] = placed
        if below_targets:  # the reference runs `chown -R` on the target once everything is there
            top = tree.get(part.target)
            given = (*([top] if top is not None else []), *tree.under(part.target))
        for entry in given:
            chosen[id(entry.link_to or entry)] = uid, gid
    return chosen, owned


def _dotfiles(entries: Sequence[Entry]) -> list[Problem]:
    """Returns a warning of names that the reference loses: it copies `root/*` (fact 37)."""
    lost = [e.path for e in entries if e.path.startswith(b".") and b"/" not in e.path]
    if not lost:
        return []
    names = ", ".join(f"/{shown(path)}" for path in lost[:3])
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    return [
        Problem(
            "dotfiles-kept",
            "warning",
            "contents",
            f"{names}{more} would be missing from the reference's image, and are kept in this one",
            "exclude them where the image has to be without them",
        )
    ]


def _closed_root(root: Entry) -> Problem:
    origin = f" (from {root.source.describe(root)})" if root.source is not None else ""
    return Problem(
        "root-directory-closed",
        "warning",
        "contents",
        f"the root directory of the image is mode {root.mode & 0o7777:04o}{origin}:"
        " only its owner can enter the file system",
        "give the source folder mode 755, or leave directories out of `mode`",
    )

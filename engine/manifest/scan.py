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
from engine.manifest.archive import is_archive
from engine.manifest.entry import Entry, Source
from engine.manifest.findings import Edit, Findings, shown
from engine.manifest.leftovers import container_leftovers
from engine.manifest.manifest import Manifest
from engine.manifest.merge import Merged, merge
from engine.manifest.mounted import mounted_at
from engine.manifest.oci import recognise
from engine.manifest.oci.describe import summary
from engine.manifest.oci.service import service
from engine.manifest.oci.unpack import unpack_image
from engine.manifest.part import Kind, Part
from engine.manifest.patterns import excluder, glob, is_glob
from engine.manifest.progress import IsCancelled, OnProgress, ScanCancelled, Ticker
from engine.manifest.quiet import without_collection
from engine.manifest.unpack import unpack
from engine.manifest.volumes import mount_points, mounts, split
from engine.manifest.walk import Rules, Walk
from engine.problem import Problem
from engine.spec.modes import parse_mode
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
        self._parts: dict[Hashable, tuple[Part, ContentCount]] = {}
        self._shares: dict[Hashable, dict[str, Part]] = {}
        self._manifests: dict[str, _Known] = {}


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
    fresh: dict[Hashable, tuple[Part, ContentCount]] = {}
    roots = [volume.id for volume in settings.volumes if volume.role == "root"]
    main = roots[0] if roots else ""
    with without_collection():
        for content in settings.contents:
            key = _key(settings, content)
            part, count = cache._parts.get(key) or _scan_content(settings, content, ticker)
            fresh[key] = part, count
            counts[content.index] = count
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


def _key(settings: Settings, content: ContentSettings) -> Hashable:
    """Returns all that a content entry's walk depends on."""
    times = settings.identity.source_date_epoch, settings.identity.clamp_times
    return replace(content, index=0), settings.compat, times


def _newest_ns(settings: Settings) -> int | None:
    return (
        settings.identity.source_date_epoch * _SECOND_NS if settings.identity.clamp_times else None
    )


def _scan_content(
    settings: Settings, content: ContentSettings, ticker: Ticker
) -> tuple[Part, ContentCount]:
    """Walks one content entry."""
    findings = Findings()
    rules = rules_of(settings, content, findings)
    target = content.target.strip(b"/")
    walk = Walk(rules, ticker, findings)
    kind: Kind = "folder"
    into: bytes | None = None
    also: tuple[Part, ...] = ()
    about = ""
    if b".." in target.split(b"/"):
        findings.add(
            "target-climbs-out",
            f"/{shown(target)} climbs above its root (..)",
            "write the target without `..`",
            key="target",
        )
    elif not is_glob(content.source) and not os.path.lexists(content.source):
        findings.add(
            "source-missing",
            f"{shown(os.fsencode(content.source))} does not exist",
            "check the path; a relative one is taken from the folder of the spec",
        )
    elif content.extract == "oci":
        kind = "archive"
        also, about = _container(content, target, walk)
    elif content.extract:
        kind = "archive"
        unpack(os.fsencode(content.source), target, walk)
    else:
        if content.into and not is_glob(content.source) and not os.path.isdir(content.source):
            into, target = target, _inside(target, content, walk)
        kind = _walk(content, target, walk)
        walk.tie()
    part = Part(
        origin=shown(os.fsencode(content.source)), kind=kind, target=target, entries=walk.entries,
        heads=dict(walk.heads), findings=tuple(findings),
        stated=bool(content.mode or content.user or content.group),
        user=content.user, group=content.group, replaces=content.replace, into=into, also=also,
    )  # fmt: skip
    sizes = [e.size for e in walk.entries if e.mode & _TYPE == _REGULAR and e.link_to is None]
    return part, ContentCount(len(walk.entries), sum(sizes), about)


def _container(content: ContentSettings, target: bytes, walk: Walk) -> tuple[tuple[Part, ...], str]:
    """Unpacks a container image; returns the unit that runs it, if asked for, and what it is."""
    source = os.fsencode(content.source)
    image = unpack_image(source, target, walk, image=content.image, platform=content.platform)
    if image is None:
        return (), ""
    about = summary(image)
    if not content.service:
        return (), about
    made = service(
        content.service, image, walk.entries, target, walk.rules.made_ns, walk.findings
    )  # fmt: skip
    return (made,) if made is not None else (), about


def _inside(target: bytes, content: ContentSettings, walk: Walk) -> bytes:
    """Returns the place of a file that goes into a directory under its own name."""
    source = os.fsencode(content.source)
    name = os.path.basename(source)
    if not target and is_archive(source):
        walk.findings.add(
            "archive-as-file",
            f"{shown(source)} is an archive, and goes into the image as the file /{shown(name)}",
            "set extract = true to have it unpacked; or name the file in the target",
            key="extract",
            severity="warning",
            fix=Edit("Unpack it", "extract", True),
        )
    return target + b"/" + name if target else name


def rules_of(settings: Settings, content: ContentSettings, findings: Findings) -> Rules:
    """Returns what becomes of a content entry's metadata; what is wrong with it is a finding."""
    mode = None
    if content.mode:
        try:
            mode = parse_mode(content.mode, literal=settings.rules.literal_modes)
        except ValueError as error:
            findings.add("bad-mode", str(error), "correct the mode", key="mode")
    newest = _newest_ns(settings)
    uid, gid = owners.numeric(content.user), owners.numeric(content.group)
    owner = (uid, gid) if uid is not None and gid is not None else None
    made_ns = settings.identity.source_date_epoch * _SECOND_NS
    rules = Rules(mode=mode, owner=owner, made_ns=made_ns, excluded=excluder(content.exclude))
    return rules if newest is None else replace(rules, newest_ns=newest)


def _walk(content: ContentSettings, target: bytes, walk: Walk) -> Kind:
    """Walks a folder, a file or what a glob matches; returns which it was."""
    source = os.fsencode(content.source)
    if is_glob(content.source):
        _walk_glob(source, target, walk)
        return "glob"
    if os.path.isdir(source):  # a link to a folder stands for the folder
        if recognise.is_image_folder(source):
            recognise.report(source, walk.findings, "warning" if target else "error")
        walk.folder(source, target)
        return "folder"
    if not target:
        walk.findings.add(
            "file-as-root",
            f"{shown(source)} is a file and cannot be the root directory",
            f"name the file in the target, such as /{shown(os.path.basename(source))},"
            " or set extract = true for an archive",
            key="target",
        )
    else:
        walk.single(source, target)
    return "file"


def _walk_glob(pattern: bytes, target: bytes, walk: Walk) -> None:
    """Takes each match into the target directory, under its own name."""
    matches = list(glob(pattern))
    if not matches:
        walk.findings.add(
            "glob-without-match",
            f"nothing matches {shown(pattern)}",
            "check the pattern: `*` stands for any part of a name but a leading dot",
        )
    taken: dict[bytes, bytes] = {}
    for path in sorted(matches, key=os.path.basename):
        name = os.path.basename(path)
        if name in taken:
            walk.findings.add(
                "duplicate-target",
                f"{shown(taken[name])} and {shown(path)} would both be {shown(name)} in"
                f" /{shown(target)}: only one of them can be there",
                "narrow the pattern, or exclude one",
            )
            continue
        taken[name] = path
        place = target + b"/" + name if target else name
        if os.path.isdir(path) and not os.path.islink(path):
            walk.folder(path, place)
        else:
            walk.single(path, place)


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
    chosen = _owners(parts, merged, system, problems, below_targets=rules.chowns_targets)
    if chosen:
        entries = owners.give(entries, chosen)
    if rules.loses_dotfiles:
        problems += _dotfiles(entries)
    if is_root and entries and entries[0].mode & 0o005 != 0o005:
        problems.append(_closed_root(entries[0]))
    if is_root:
        problems += container_leftovers(entries)
    return Manifest(entries, problems, _origins(parts))


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
) -> dict[int, owners.Owner]:
    """Returns owners by id() of those entries that a part gives to a named user and group."""
    chosen: dict[int, owners.Owner] = {}
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
        given: Iterable[Entry] = placed
        if below_targets:  # the reference runs `chown -R` on the target once everything is there
            top = tree.get(part.target)
            given = (*([top] if top is not None else []), *tree.under(part.target))
        for entry in given:
            chosen[id(entry.link_to or entry)] = uid, gid
    return chosen


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

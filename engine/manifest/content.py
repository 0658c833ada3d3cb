"""What one content entry brings: a folder, a file, what a glob matches, an archive, a container."""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import replace

from engine.manifest import owners
from engine.manifest.archive import ArchiveSource, is_archive
from engine.manifest.entry import Entry
from engine.manifest.findings import Edit, Findings, shown
from engine.manifest.oci import recognise
from engine.manifest.oci.describe import summary
from engine.manifest.oci.service import service
from engine.manifest.oci.source import ImageSource
from engine.manifest.oci.unpack import unpack_image
from engine.manifest.part import Kind, Part
from engine.manifest.patterns import excluder, glob, is_glob
from engine.manifest.progress import Ticker
from engine.manifest.unpack import unpack
from engine.manifest.walk import Rules, Walk
from engine.spec.modes import parse_mode
from engine.spec.settings import ContentSettings, Settings

_SECOND_NS = 1_000_000_000


def key_of(settings: Settings, content: ContentSettings) -> Hashable:
    """Returns all that what a content entry brings depends on, besides its source."""
    times = settings.identity.source_date_epoch, settings.identity.clamp_times
    return replace(content, index=0), settings.compat, times


def _newest_ns(settings: Settings) -> int | None:
    return (
        settings.identity.source_date_epoch * _SECOND_NS if settings.identity.clamp_times else None
    )


def part_of(settings: Settings, content: ContentSettings, ticker: Ticker) -> Part:
    """Walks one content entry; what is wrong with it is among the findings of its part."""
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
    part = replace(
        _bare_part(content), kind=kind, target=target, entries=walk.entries,
        heads=dict(walk.heads), findings=tuple(findings), into=into, also=also, about=about,
    )  # fmt: skip
    _tell(part)
    return part


def part_again(
    content: ContentSettings, entries: list[Entry], also: tuple[Part, ...], about: str
) -> Part:
    """Returns what a content entry brings that unpacks, where it is known already.

    Args:
        content: The content entry.
        entries: That came of it.
        also: What else did.
        about: What it says about itself.
    """
    heads = {id(one.link_to): one.link_to for one in entries if one.link_to is not None}
    path = os.fsencode(content.source)
    part = replace(
        _bare_part(content), kind="archive", entries=entries, also=also, about=about,
        heads={(path, at): head for at, head in heads.items()},
    )  # fmt: skip
    _tell(part)
    return part


def _bare_part(content: ContentSettings) -> Part:
    return Part(
        origin=shown(os.fsencode(content.source)), target=content.target.strip(b"/"),
        stated=bool(content.mode or content.user or content.group),
        user=content.user, group=content.group, replaces=content.replace,
    )  # fmt: skip


def _tell(part: Part) -> None:
    """Has what was unpacked know all that came of it."""
    for source in {id(one.source): one.source for one in part.entries}.values():
        if isinstance(source, (ArchiveSource, ImageSource)):
            source.brought = part


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

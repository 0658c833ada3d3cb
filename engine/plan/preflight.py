"""What stands in the way of a build, found before anything is written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from engine.disk.presets import MBR_SECTORS
from engine.filesystems.driver import Drop
from engine.manifest.entry import Entry
from engine.manifest.leave_out import leave_out
from engine.manifest.patterns import excluder
from engine.plan import capacity, filling, outdir
from engine.plan.design import Design
from engine.plan.host import Host
from engine.plan.model import Plan, VolumePlan
from engine.plan.steps import VOLUME, written_bytes
from engine.problem import Fix, Problem, errors
from engine.spec.filesystems import FILESYSTEMS
from engine.tools.table import TOOLS, install_hint
from engine.units import MIB, human, sized

_NAMED = 20
"""Entries of one kind that are reported each by name; the rest are only counted."""


_RECORD_BYTES = MIB
"""More than manifest.json and build.jsonl take."""


def contents(plan: Plan, design: Design) -> list[Problem]:
    """Returns what is wrong with a plan whatever the machine: sizes, labels, names."""
    return [
        *(
            one
            for volume in _root_first(plan)
            for one in capacity.full(design, plan.disk.bytes, volume)
        ),
        *(one for volume in _root_first(plan) for one in _refused(plan, volume)),
        *(one for volume in _root_first(plan) for one in capacity.tight(design, volume)),
        *capacity.overlaps(plan),
        *_table_limit(plan),
    ]


def _root_first(plan: Plan) -> list[VolumePlan]:
    return sorted(plan.volumes, key=lambda volume: volume.role != "root")


def of_host(plan: Plan, host: Host) -> list[Problem]:
    """Returns what this machine lacks to carry out a plan."""
    return [
        *_tools(plan, host), *filling.lacking(plan, host), *_outputs(plan, host),
        *_inside(plan, host), *_folder(plan, host),
    ]  # fmt: skip


def unique(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Returns the problems without repetitions: the first of each code, path and message."""
    return tuple({(one.code, one.path, one.message): one for one in problems}.values())


def _refused(plan: Plan, volume: VolumePlan) -> Iterator[Problem]:
    """Yields entries that a file system cannot hold, and how many lose what it does not keep."""
    filesystem = volume.filesystem
    if filesystem is None:
        return
    where = f"cannot be on the {volume.title}"
    row = FILESYSTEMS[filesystem.type]
    if row.mounted and filesystem.filled:
        yield filling.not_repeatable(volume)
    refused = [(one.entry, one.reason) for one in filesystem.refused]
    wanted = next(one for one in plan.settings.volumes if one.id == volume.id)

    def fix(entry: Entry) -> Fix | None:
        edit = leave_out(plan.settings, wanted, filesystem.manifest, entry)
        name = "/" + entry.path.decode(errors="backslashreplace")
        return Fix(f"Leave {name} out", (edit,)) if edit else None

    yield from _each("entry-unwritable", where, refused, fix)
    for drop in filesystem.drops:
        yield Problem(
            "drops-metadata",
            "warning",
            "contents",
            f"{_entries(drop.entries, volume.title)} {drop.what} that {row.title} does not keep"
            f"{_first(drop)}",
            ""
            if "owners" in row.keeps
            else f"the {volume.title} belongs to root as a whole when it is mounted",
        )


def _entries(count: int, title: str) -> str:
    return f"1 entry of the {title} has" if count == 1 else f"{count} entries of the {title} have"


def _first(drop: Drop) -> str:
    """Returns the entries that are named, and how many more there are."""
    if not drop.first:
        return ""
    more = drop.entries - len(drop.first)
    names = ", ".join("/" + path.decode(errors="backslashreplace") for path in drop.first)
    return f": {names}" + (f" and {more} more" if more else "")


def _each(
    code: str, where: str, found: Sequence[tuple[Entry, str]], fix: Callable[[Entry], Fix | None]
) -> Iterator[Problem]:
    for entry, reason in found[:_NAMED]:
        path = "/" + entry.path.decode(errors="backslashreplace")
        origin = f" (from {entry.source.describe(entry)})" if entry.source is not None else ""
        yield Problem(
            code,
            "error",
            "contents",
            f"{path} {where}: {reason}{origin}",
            "exclude or rename it",
            fix(entry),
        )
    if len(found) > _NAMED:
        yield Problem(
            code, "error", "contents", f"{len(found) - _NAMED} more entries like these", ""
        )


def _table_limit(plan: Plan) -> Iterator[Problem]:
    """An automatic size that an MBR cannot count; a fixed one is the spec's own problem."""
    automatic = plan.settings.size.disk is None
    limit = MBR_SECTORS * plan.disk.sector_size
    if automatic and plan.disk.table == "mbr" and plan.disk.bytes > limit:
        yield Problem(
            "disk-too-large-for-mbr",
            "error",
            "layout.table",
            f"the disk comes to {human(plan.disk.bytes)}; an MBR reaches only {human(limit)}",
            'layout.table = "legacy+gpt" has no such limit',
            Fix("Use a GPT", (("layout.table", "legacy+gpt"),)),
        )


def _tools(plan: Plan, host: Host) -> Iterator[Problem]:
    wanted = dict.fromkeys(command[0] for step in plan.steps for command in step.argv)
    for name in wanted:
        installed = host.tools.get(name)
        if name not in TOOLS:
            if installed is None:
                yield _no_signer(name)
            continue
        tool = TOOLS[name]
        hint = install_hint(tool, host.distribution)
        if installed is None:
            yield Problem(
                "tool-missing", "error", "",
                f"{name} is not installed; it is needed to {tool.purpose}", hint,
            )  # fmt: skip
        elif tool.minimum and installed.version and installed.version < tool.minimum:
            yield Problem(
                "tool-too-old", "error", "",
                f"{installed.path} is version {_dotted(installed.version)}; "
                f"{_dotted(tool.minimum)} or newer is needed to {tool.purpose}", hint,
            )  # fmt: skip


def _no_signer(name: str) -> Problem:
    return Problem(
        "signer-missing", "error", "output.sign",
        f"names {name}, which is not installed or not on PATH", "install it, or name another",
    )  # fmt: skip


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def _outputs(plan: Plan, host: Host) -> Iterator[Problem]:
    if host.outdir is None:
        return
    yield from outdir.obstacles(host.outdir, host.occupied, plan.writes)
    if not host.force:
        yield from outdir.conflicts(
            host.outdir,
            host.occupied,
            outputs=() if host.update else plan.outputs,
            writes=plan.writes,
        )


def _inside(plan: Plan, host: Host) -> Iterator[Problem]:
    """An output folder within a source: the next build would pack what this one leaves there."""
    if host.outdir is None:
        return
    folder = _normal(host.outdir)
    for content in plan.settings.contents:
        source = _normal(content.source)
        if not content.extract and folder.is_relative_to(source):
            below = folder.relative_to(source)
            excluded = excluder(content.exclude)
            folders = (os.fsencode(above) for above in (below, *below.parents))
            if excluded is not None and any(excluded(above, True) for above in folders):
                continue
            yield Problem(
                "output-in-source", "warning", f"contents[{content.index}].source",
                f"{source} holds the output folder, {folder}: the next build would pack what this "
                "one leaves there",
                "choose an output folder elsewhere, or exclude it",
            )  # fmt: skip


def _normal(path: Path) -> Path:
    """Returns an absolute path without `..`; links are not followed."""
    return Path(os.path.normpath(path.absolute()))


def peak_bytes(plan: Plan) -> int:
    """Returns about how much the output folder's file system must take while building.

    The sparse image, what is made of it beside it (which compression only makes smaller), the
    file of one volume that is made or checked alone, and the records of the build.
    """
    image = written_bytes(plan)
    settings = plan.settings
    converted = (
        image if settings.output.format != "raw" or settings.output.compress != "none" else 0
    )
    alone = {step.volume for step in plan.steps for argv in step.argv if VOLUME in argv}
    checked = max((_used(plan.volume(name)) for name in alone), default=0)
    return image + converted + checked + _RECORD_BYTES


def _used(volume: VolumePlan) -> int:
    """Returns what a file of a volume alone takes."""
    inside = volume.filesystem
    return inside.size - inside.free_bytes if inside is not None else 0


def _folder(plan: Plan, host: Host) -> Iterator[Problem]:
    """A folder that cannot be the output folder, or has no room."""
    if host.refusals:
        yield from host.refusals
    else:
        yield from _space(plan, host)


def _space(plan: Plan, host: Host) -> Iterator[Problem]:
    volume = host.volume
    if volume is None:
        return
    if not volume.usable:
        yield Problem(
            "output-not-writable", "error", "",
            f"{volume.path} is not a folder that you can write to", "choose another output folder",
        )  # fmt: skip
        return
    if not plan.steps or errors(plan.problems):
        return
    needed = peak_bytes(plan)
    if volume.free_bytes < needed <= volume.free_bytes + host.held:
        yield Problem(
            "output-full", "warning", "",
            f"the update takes up to {sized(needed)} below {volume.path} if "
            f"everything changed, where {sized(volume.free_bytes)} are "
            "free; what stays of the last image takes none",
            "free some space if much has changed",
        )  # fmt: skip
    elif needed > volume.free_bytes:
        yield Problem(
            "output-full", "error", "",
            f"the build takes up to {sized(needed)} below {volume.path}, where "
            f"{sized(volume.free_bytes)} are free",
            "free some space or choose another output folder",
        )  # fmt: skip
    elif volume.memory:
        yield Problem(
            "output-in-memory", "warning", "",
            f"{volume.path} is a {volume.type}: the build keeps up to {human(needed)} in memory",
            "choose an output folder on a disk",
        )  # fmt: skip

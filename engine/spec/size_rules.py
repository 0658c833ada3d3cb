"""What can be wrong with the sizes of a disk, beside other keys."""

from __future__ import annotations

from collections.abc import Iterator

from engine.disk.presets import MBR_SECTORS
from engine.problem import Problem
from engine.spec import format_rules
from engine.spec.formats import FORMATS
from engine.spec.model import ImageSpec
from engine.spec.refusals import edit, error, warning
from engine.spec.settings import Settings
from engine.spec.shape import show
from engine.units import MIB, format_exact, in_bytes, numfmt_iec, parse_size


def used(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Says which sizes a disk of fixed size leaves unused, and whether table and format take it."""
    disk = settings.size.disk
    if disk is None:
        return
    if spec.size.additional is not None:
        yield warning(
            "size-unused",
            "size.additional",
            "is not used: size.disk is fixed, and the root takes what is left",
        )
    limit = MBR_SECTORS * settings.layout.sector_size
    if settings.scheme == "mbr" and disk > limit:
        yield error(
            "disk-too-large-for-mbr",
            "size.disk",
            f"is {format_exact(disk)}; an MBR reaches only {format_exact(limit)}",
            'layout.table = "legacy+gpt" has no such limit',
            edit("Use a GPT", ("layout.table", "legacy+gpt")),
        )
    yield from format_rules.size(FORMATS[settings.output.format], disk)


def rounded(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Says what became of sizes that no disk or partition can have."""
    pairs = (
        ("disk", spec.size.disk, MIB, settings.size.disk),
        ("boot", spec.size.boot, 1, settings.size.boot if settings.has("esp") else None),
    )
    for name, written, bare, taken in pairs:
        asked = None if written is None else _bytes(written, bare)
        if asked is None or taken is None or asked == taken:
            continue
        better = format_exact(taken)
        yield Problem(
            "size-rounded", "warning", f"size.{name}",
            f"{show(written)} is {in_bytes(asked)}, not a whole number of sectors; rounded up to "
            f"{better}",
            "", edit(f"Write {better}", (f"size.{name}", better)),
        )  # fmt: skip


def inodes(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Refuses what is not decided where mke2fs has its own defaults."""
    if settings.rules.mke2fs_defaults and spec.size.inodes is not None:
        yield error(
            "compat-inodes",
            "size.inodes",
            f"is {spec.size.inodes}; make-disk-image leaves the inodes to mke2fs",
            'take compat = "none" to say how many',
            edit("Leave it to mke2fs", ("size.inodes", None)),
        )
    if settings.rules.mke2fs_defaults and spec.size.grow_to is not None:
        yield error(
            "compat-grow-to",
            "size.grow_to",
            f"is {show(spec.size.grow_to)}; make-disk-image has no such argument",
            'take compat = "none" to have the image grow',
            edit("Leave it out", ("size.grow_to", None)),
        )


def in_numfmt(spec: ImageSpec, settings: Settings) -> Iterator[Problem]:
    """Says which sizes numfmt, by which make-disk-image reads them, would not take."""
    if settings.size.disk is not None or not settings.rules.numfmt_sizes:
        return
    yield from _numfmt("size.additional", spec.size.additional)
    if settings.uses_boot_size:
        yield from _numfmt("size.boot", spec.size.boot)


def _numfmt(path: str, value: int | str | None) -> Iterator[Problem]:
    """Warns of what only numfmt refuses, which here means what it means elsewhere."""
    if value is None or (isinstance(value, int) and path == "size.additional"):
        return
    try:
        if isinstance(value, int):
            raise ValueError(f"make-disk-image takes text here, not the integer {value}")
        numfmt_iec(value)
    except ValueError as refusal:
        try:
            size = parse_size(value)
        except ValueError:
            hint = 'with an automatic size, write digits and one of K M G T, as in "512M"'
            yield error("compat-size", path, str(refusal), hint)
        else:
            yield warning(
                "compat-size",
                path,
                f"{refusal}; taken as {format_exact(size)}, where make-disk-image would fail",
                "write digits and one of K M G T for both to read it",
            )


def _bytes(written: int | str, bare: int) -> int | None:
    """Returns a size in bytes; None for one that is none or was found wrong before."""
    try:
        return parse_size(written, bare=bare)
    except ValueError:
        return None

"""What the readers of a format ask of a disk: its size, its sectors, the firmware that boots it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.disk.volume import Firmware
from engine.problem import Fix, Problem
from engine.spec.formats import FORMATS, Format
from engine.units import GIB, KIB, MIB, ceil_to, format_exact, in_bytes

_UNITS = {GIB: "GiB", MIB: "MiB", KIB: "KiB"}
_FIRMWARE = {"bios": "BIOS", "uefi": "UEFI"}


def size(format_: Format, disk: int) -> Iterator[Problem]:
    """Yields what is wrong with a disk of so many bytes."""
    rule = format_.size
    if rule.largest is not None and disk > rule.largest:
        yield Problem(
            "format-too-large",
            "error",
            "output.format",
            f'is "{format_.key}", and the disk has {format_exact(disk)}; {rule.reader} takes '
            f"{format_exact(rule.largest)} at most as {format_.title}",
            "make the disk smaller, or take another format",
        )
    elif disk % rule.multiple:
        unit = _UNITS[rule.multiple]
        better = format_exact(ceil_to(disk, rule.multiple))
        yield Problem(
            "format-size",
            "error" if rule.strict else "warning",
            "size.disk",
            f"is {in_bytes(disk)}, not a whole number of {unit}, and {rule.reader} refuses such a "
            f"{format_.title}",
            f"the next whole {unit} is {better}",
            Fix(f"Make it {better}", (("size.disk", better),)),
        )


def sectors(format_: Format, sector_size: int) -> Iterator[Problem]:
    """Yields a warning where the reader cannot be told of other sectors than 512 bytes."""
    if sector_size != 512 and not format_.other_sectors:
        yield Problem(
            "format-sectors",
            "warning",
            "layout.sector_size",
            f"is {sector_size}, and what reads a {format_.title} shows the machine sectors of 512 "
            "bytes: it finds no partition",
            "take 512, or a format whose reader has such a setting (raw, qcow2)",
            Fix("Use 512", (("layout.sector_size", 512),)),
        )


def firmware(format_: Format, boots: Sequence[Firmware]) -> Iterator[Problem]:
    """Yields a warning where only one firmware boots the image and the reader prefers another.

    Args:
        format_: The format.
        boots: What boots the image; nothing where it holds no loader.
    """
    if len(boots) != 1 or boots[0] not in format_.firmware:
        return
    rule = format_.firmware[boots[0]]
    yield Problem(
        "format-firmware",
        "warning",
        "output.format",
        f'is "{format_.key}", and only {_FIRMWARE[boots[0]]} boots this image: {rule.advice}',
        f'take output.format = "{rule.instead}"' if rule.instead else "",
        Fix(f"Make it a {FORMATS[rule.instead].title}", (("output.format", rule.instead),))
        if rule.instead
        else None,
    )

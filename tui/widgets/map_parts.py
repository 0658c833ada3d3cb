"""Where the regions of a disk stand on the map: cells, groups, colours, and the way between two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from textual.content import Content

from engine.disk.view import Region
from engine.units import format_exact, in_bytes
from tui.text import visible
from tui.theme import COLOURS
from tui.widgets.proportions import cells, even

NAMES = {"esp": "ESP", "bios-boot": "BIOS boot", "gap": "free"}
"""What ids that roles give are called; every other id is a name already."""

MANY = "$volume-many"
"""Ground of what is drawn as one."""
_PREFERRED = {
    "esp": 1, "root": 2, "home": 3, "swap": 4, "boot": 5, "xbootldr": 5, "data": 6,
    "bios-boot": 4, "usr": 3, "srv": 5, "var": 6, "tmp": 4, "raw": 6,
    "root-verity": 5, "usr-verity": 5, "root-verity-sig": 3, "usr-verity-sig": 3,
}  # fmt: skip
"""The colour that a role has unless a volume before it has it already."""
LEAST = 3
"""Cells of a region in which its number can still be read."""
WHOLE = 1000
"""Shares of a way from one drawing to the next."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Neighbouring regions drawn as one, and the cells they take; mostly there is only one.

    Attributes:
        index: Position of the first of them in disk order.
    """

    index: int
    regions: tuple[Region, ...]
    column: int
    width: int

    @property
    def region(self) -> Region:
        """The only one, or the first."""
        return self.regions[0]

    @property
    def bytes(self) -> int:
        """From the first byte of the first to the last byte of the last."""
        last = self.regions[-1]
        return last.start + last.bytes - self.region.start

    @property
    def end(self) -> int:
        """The column behind it."""
        return self.column + self.width


def grounds(roles: Sequence[str]) -> list[str]:
    """Returns the theme variable of each region's ground.

    As long as there are colours left no two volumes share one, and neighbours never do.
    """
    found: list[int] = []
    for role in roles:
        if role == "gap":
            found.append(0)
            continue
        before = next((one for one in reversed(found) if one), 0)
        free = [one for one in range(1, COLOURS + 1) if one not in found]
        wanted = _PREFERRED.get(role, 6)
        others = free or [one for one in range(1, COLOURS + 1) if one != before]
        found.append(wanted if wanted in others else others[0])
    return [f"$volume-{one}" if one else "$volume-free" for one in found]


def groups(sizes: Sequence[int], most: int, apart: int) -> list[range]:
    """Returns which neighbours are drawn as one so that at most so many parts are left.

    Args:
        sizes: Bytes of each region.
        most: Parts that there is room for.
        apart: Index of a region that stays by itself as long as that can be.
    """
    parts = [range(index, index + 1) for index in range(len(sizes))]
    while len(parts) > max(most, 1):
        pairs = range(len(parts) - 1)

        def weight(at: int) -> tuple[bool, int]:
            joined = range(parts[at].start, parts[at + 1].stop)
            return apart in joined, sum(sizes[index] for index in joined)

        at = min(pairs, key=weight)
        parts[at : at + 2] = [range(parts[at].start, parts[at + 1].stop)]
    return parts


def arranged(
    regions: Sequence[Region],
    width: int,
    *,
    selected: int = 0,
    to_scale: bool = False,
    before: Mapping[str, int] | None = None,
    way: int = WHOLE,
) -> list[Drawn]:
    """Returns where each region stands.

    Args:
        regions: All of the disk, in disk order.
        width: Cells for all of them.
        selected: Index of the one that stays by itself.
        to_scale: Widths follow the sizes; otherwise small regions can be read, too.
        before: Cells that each volume had before; what is new grows out of nothing.
        way: How far the drawing is from there, of `WHOLE`.
    """
    if width <= 0 or not regions:
        return []
    parts = groups([one.bytes for one in regions], (width + 1) // (LEAST + 1), selected)
    sizes = [sum(regions[index].bytes for index in part) for part in parts]
    # One cell between two regions belongs to neither.
    gap = 1 if width > 2 * len(sizes) else 0
    room = width - gap * (len(sizes) - 1)
    least = LEAST if room >= LEAST * len(sizes) else 1
    widths = cells(sizes if to_scale else even(sizes), room, minimum=least)
    if before is not None and way < WHOLE:
        names = [regions[part.start].id for part in parts]
        mixed = [
            before.get(name, 0) * (WHOLE - way) + goal * way
            for name, goal in zip(names, widths, strict=True)
        ]
        widths = cells(mixed, room, minimum=1)
    starts = accumulate((part + gap for part in widths), initial=0)
    return [
        Drawn(part.start, tuple(regions[part.start : part.stop]), column, taken)
        for part, column, taken in zip(parts, starts, widths, strict=False)
    ]


def name_of(volume: str) -> str:
    """Returns what a region is called: its volume's id, or its role's name where that is it."""
    return NAMES.get(volume, visible(volume))


def describe(region: Region) -> Content:
    """Returns the exact figures of a region, for tooltip and detail line."""
    parts = [f"{name_of(region.id)}: {format_exact(region.bytes)} = {in_bytes(region.bytes)}"]
    if region.partition is not None:
        last = region.partition.start + region.partition.sectors - 1
        parts.append(f"sectors {region.partition.start:,} to {last:,}")
        if region.partition.guid:
            parts.append(f"GUID {region.partition.guid}")
    return Content("\n".join(parts))

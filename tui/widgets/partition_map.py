"""The partition map: the disk to scale, in three rows, one tab stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from engine.disk.view import DiskView, Region, regions
from engine.units import format_exact, human
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.text import cut, fit, visible
from tui.theme import ROLE_COLOURS
from tui.widgets.proportions import cells, even

NAMES = {"esp": "ESP", "bios-boot": "BIOS boot", "gap": "free"}
"""What ids that roles give are called; every other id is a name already."""

_COLOURS = {"root-verity": "hash", "usr-verity": "hash", "root-verity-sig": "hash",
            "usr-verity-sig": "hash"}  # fmt: skip
"""Roles that have no colour of their own, and the one whose they take."""

_LEAST = 3
"""Cells of a region in which its number can still be read."""


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


def colours(found: Sequence[Region]) -> list[str]:
    """Returns the theme variable of each region's ground; neighbours of a role differ in shade."""
    seen: Counter[str] = Counter()
    names = []
    for region in found:
        name = _COLOURS.get(region.role, region.role)
        name = name if name in ROLE_COLOURS else "other"
        names.append(f"$role-{name}" + ("-2" if seen[name] % 2 else ""))
        seen[name] += 1
    return names


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


class PartitionMap(Widget, can_focus=True):
    """Draws the regions of a disk; the selection is shared with the partition table.

    First row the names, second the sizes, third how much of each file system is taken.
    """

    HELP = """
# Partition map

The disk from its first to its last byte. The lowest row shows how much of each file system
is taken (`█`) and how much is free (`░`); hatched parts belong to no volume. Where there are
more volumes than can be read, neighbours are drawn as one, with a `+` and how many they are.

- Left and Right choose a partition, the table follows; a click does the same.
- Ctrl+T switches between even widths, where small partitions can be read, and true scale.
"""

    BINDINGS: ClassVar[list[BindingType]] = bindings("map")

    view: reactive[DiskView | None] = reactive(None)
    selected = reactive(0)
    to_scale = reactive(False)
    dimmed = reactive(False)

    @dataclass
    class Selected(Message):
        """A region was chosen; `index` counts regions in disk order."""

        index: int

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.regions: tuple[Region, ...] = ()
        self._grounds: list[str] = []

    def watch_view(self, view: DiskView | None) -> None:
        """Takes the regions of the new disk; the selection stays on its volume."""
        name = self.regions[self.selected].id if self.selected < len(self.regions) else "root"
        self.regions = () if view is None else regions(view)
        self.choose(name)

    def choose(self, name: str) -> None:
        """Selects a volume by its id; where it has no place, the last region."""
        names = [region.id for region in self.regions]
        self.selected = names.index(name) if name in names else max(len(names) - 1, 0)

    def watch_selected(self, index: int) -> None:
        """Tells the table."""
        self.post_message(self.Selected(index))

    def action_move(self, by: int) -> None:
        """Chooses another region."""
        last = len(self.regions) - 1
        self.selected = min(max(self.selected + by, 0), max(last, 0))

    def drawn(self) -> list[Drawn]:
        """Returns where each region stands, in cells of this widget."""
        width = self.size.width
        if width <= 0 or not self.regions:
            return []
        parts = groups(
            [region.bytes for region in self.regions], (width + 1) // (_LEAST + 1), self.selected
        )
        sizes = [sum(self.regions[index].bytes for index in part) for part in parts]
        # One cell between two regions belongs to neither.
        gaps = len(sizes) - 1 if width > 2 * len(sizes) else 0
        room = width - gaps
        least = _LEAST if room >= _LEAST * len(sizes) else 1
        widths = cells(sizes if self.to_scale else even(sizes), room, minimum=least)
        starts = accumulate((part + (1 if gaps else 0) for part in widths), initial=0)
        return [
            Drawn(part.start, self.regions[part.start : part.stop], column, taken)
            for part, column, taken in zip(parts, starts, widths, strict=False)
        ]

    def render(self) -> Content:
        """Draws the three rows."""
        drawn = self.drawn()
        if not drawn:
            return Content.styled("No partition map yet", "$muted")
        single = self.size.height < 3
        rows = (self._names,) if single else (self._names, self._sizes, self._use)
        self._grounds = colours(self.regions)
        between = " " if self.size.width > 2 * len(drawn) else ""
        lines = [Content(between).join([row(part) for part in drawn]) for row in rows]
        content = Content("\n").join(lines)
        return content.stylize("dim") if self.dimmed else content

    def _style(self, part: Drawn) -> str:
        if part.region.role == "gap" and len(part.regions) == 1:
            style = "$role-free"
        else:
            ground = "$role-other" if len(part.regions) > 1 else self._grounds[part.index]
            style = f"$role-text on {ground}"
        if self._is_selected(part):
            style += " bold underline" if self.has_focus else " bold"
        return style

    def _is_selected(self, part: Drawn) -> bool:
        return part.index <= self.selected < part.index + len(part.regions)

    def _names(self, part: Drawn) -> Content:
        region = part.region
        mark = self.glyphs.cursor if self._is_selected(part) else " "
        if len(part.regions) > 1:
            inside = self.regions[self.selected] if self._is_selected(part) else None
            text = f"{mark}+{len(part.regions)}" + (f" {name_of(inside.id)}" if inside else "")
            return Content.styled(fit(cut(text, part.width, ""), part.width), self._style(part))
        name = name_of(region.id)
        number = f"{region.number} " if region.number else ""
        if region.role == "gap" and part.width < len(name) + 2:
            return Content.styled(self.glyphs.gap * part.width, self._style(part))
        for text in (
            f"{mark}{number}{name}",
            f"{mark}{name}",
            f"{mark}{number}".rstrip(),
            number.strip() or mark,
        ):
            if len(text) <= part.width:
                return Content.styled(fit(text, part.width), self._style(part))
        return Content.styled(fit(cut(name, part.width, ""), part.width), self._style(part))

    def _sizes(self, part: Drawn) -> Content:
        text = f" {human(part.bytes)}"
        if len(text) > part.width:
            text = ""
        if part.region.role == "gap" and len(part.regions) == 1 and not text:
            return Content.styled(self.glyphs.gap * part.width, self._style(part))
        return Content.styled(fit(text, part.width), self._style(part))

    def _use(self, part: Drawn) -> Content:
        region = part.region
        style = self._style(part).replace(" underline", "")
        if len(part.regions) > 1:
            return Content.styled(self.glyphs.plain * part.width, style)
        if region.role == "gap":
            return Content.styled(self.glyphs.gap * part.width, style)
        if region.used is None:
            return Content.styled(self.glyphs.plain * part.width, style)
        used, free = cells((region.used, region.bytes - region.used), part.width, minimum=0)
        return Content.styled(self.glyphs.used * used + self.glyphs.free * free, style)

    def on_click(self, event: events.Click) -> None:
        """Chooses the region under the pointer."""
        for part in self.drawn():
            if part.column <= event.x < part.column + part.width:
                within = (event.x - part.column) * len(part.regions) // max(part.width, 1)
                self.selected = part.index + within

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Names the region under the pointer, exactly."""
        for part in self.drawn():
            if part.column <= event.x < part.column + part.width:
                self.tooltip = Content("\n").join(map(describe, part.regions))
                return

    def on_focus(self) -> None:
        """Draws the selection as focused."""
        self.refresh()

    def on_blur(self) -> None:
        """Draws the selection as not focused."""
        self.refresh()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """Takes what there is."""
        return container.width


def name_of(volume: str) -> str:
    """Returns what a region is called: its volume's id, or its role's name where that is it."""
    return NAMES.get(volume, visible(volume))


def describe(region: Region) -> Content:
    """Returns the exact figures of a region, for tooltip and detail line."""
    parts = [f"{name_of(region.id)}: {format_exact(region.bytes)} = {region.bytes:,} bytes"]
    if region.partition is not None:
        last = region.partition.start + region.partition.sectors - 1
        parts.append(f"sectors {region.partition.start:,} to {last:,}")
        if region.partition.guid:
            parts.append(f"GUID {region.partition.guid}")
    return Content("\n".join(parts))

"""The partition map: the disk to scale, in three rows, one tab stop."""

from __future__ import annotations

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
from tui.text import cut, fit
from tui.widgets.proportions import cells, even

ROLE_NAMES = {
    "esp": "ESP",
    "bios-boot": "BIOS boot",
    "boot": "boot",
    "root": "root",
    "other": "other",
    "gap": "free",
}


@dataclass(frozen=True, slots=True)
class Drawn:
    """A region, its position in disk order, and the cells it takes."""

    index: int
    region: Region
    column: int
    width: int


class PartitionMap(Widget, can_focus=True):
    """Draws the regions of a disk; the selection is shared with the partition table.

    First row the names, second the sizes, third how much of each file system is taken.
    """

    HELP = """
# Partition map

The disk from its first to its last byte. The lowest row shows how much of each file system
is taken (`█`) and how much is free (`░`); hatched parts belong to no partition.

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

    def watch_view(self, view: DiskView | None) -> None:
        """Takes the regions of the new disk; the selection stays on its role."""
        role = self.regions[self.selected].role if self.selected < len(self.regions) else "root"
        self.regions = () if view is None else regions(view)
        roles = [region.role for region in self.regions]
        self.selected = roles.index(role) if role in roles else max(len(roles) - 1, 0)

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
        sizes = [region.bytes for region in self.regions]
        # One cell between two regions belongs to neither.
        gaps = len(sizes) - 1 if width > 2 * len(sizes) else 0
        widths = cells(sizes if self.to_scale else even(sizes), width - gaps)
        starts = accumulate((part + (1 if gaps else 0) for part in widths), initial=0)
        return [
            Drawn(index, region, column, part)
            for index, (region, column, part) in enumerate(
                zip(self.regions, starts, widths, strict=False)
            )
        ]

    def render(self) -> Content:
        """Draws the three rows."""
        drawn = self.drawn()
        if not drawn:
            return Content.styled("No partition map yet", "$muted")
        single = self.size.height < 3
        rows = (self._names,) if single else (self._names, self._sizes, self._use)
        lines = [Content(self._between()).join([row(part) for part in drawn]) for row in rows]
        content = Content("\n").join(lines)
        return content.stylize("dim") if self.dimmed else content

    def _between(self) -> str:
        return "" if self.size.width <= 2 * len(self.regions) else " "

    def _style(self, part: Drawn) -> str:
        role = part.region.role
        style = "$role-free" if role == "gap" else f"$role-text on $role-{role}"
        if self._is_selected(part):
            style += " bold underline" if self.has_focus else " bold"
        return style

    def _is_selected(self, part: Drawn) -> bool:
        return part.index == self.selected

    def _names(self, part: Drawn) -> Content:
        region = part.region
        mark = self.glyphs.cursor if self._is_selected(part) else " "
        name = ROLE_NAMES.get(region.role, region.role)
        number = f"{region.number} " if region.number else ""
        if region.role == "gap" and part.width < len(name) + 2:
            return Content.styled(self.glyphs.gap * part.width, self._style(part))
        for text in (f"{mark}{number}{name}", f"{mark}{number}".rstrip(), number.strip() or mark):
            if len(text) <= part.width:
                return Content.styled(fit(text, part.width), self._style(part))
        return Content.styled(fit(cut(name, part.width, ""), part.width), self._style(part))

    def _sizes(self, part: Drawn) -> Content:
        text = f" {human(part.region.bytes)}"
        if len(text) > part.width:
            text = ""
        if part.region.role == "gap" and not text:
            return Content.styled(self.glyphs.gap * part.width, self._style(part))
        return Content.styled(fit(text, part.width), self._style(part))

    def _use(self, part: Drawn) -> Content:
        region = part.region
        style = self._style(part).replace(" underline", "")
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
                self.selected = part.index

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Names the region under the pointer, exactly."""
        for part in self.drawn():
            if part.column <= event.x < part.column + part.width:
                self.tooltip = describe(part.region)
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


def describe(region: Region) -> Content:
    """Returns the exact figures of a region, for tooltip and detail line."""
    name = ROLE_NAMES.get(region.role, region.role)
    parts = [f"{name}: {format_exact(region.bytes)} = {region.bytes:,} bytes"]
    if region.partition is not None:
        last = region.partition.start + region.partition.sectors - 1
        parts.append(f"sectors {region.partition.start:,} to {last:,}")
        if region.partition.guid:
            parts.append(f"GUID {region.partition.guid}")
    return Content("\n".join(parts))

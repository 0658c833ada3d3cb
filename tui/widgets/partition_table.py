"""The partition table in figures: the text equivalent of the map, one selection with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len, chop_cells
from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from engine.disk.view import DiskView, Region, regions
from engine.units import human, in_bytes
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.text import fit, pad, visible
from tui.widgets.map_parts import name_of

_INDENT = 2
"""Cells before a figure that stands below its name."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column, as wide as what stands in it.

    Attributes:
        rank: Columns of a high rank go first where there is no room for all.
    """

    title: str
    right: bool
    rank: int
    cell: Callable[[Region, int], str]


def _filesystem(region: Region, _sector: int) -> str:
    return region.filesystem.type if region.filesystem else "-"


def _start(region: Region, sector: int) -> str:
    return f"{region.partition.start if region.partition else region.start // sector:,}"


def _sectors(region: Region, sector: int) -> str:
    return f"{region.partition.sectors if region.partition else region.bytes // sector:,}"


def _free(region: Region, _sector: int) -> str:
    return human(region.filesystem.free_bytes) if region.filesystem else "-"


def _guid(region: Region, _sector: int) -> str:
    return (region.partition.guid or "-") if region.partition else "-"


COLUMNS = (
    Column("#", True, 0, lambda region, _: str(region.number) if region.number else "-"),
    Column("Volume", False, 0, lambda region, _: name_of(region.id)),
    Column("File system", False, 3, _filesystem),
    Column("Start", True, 1, _start),
    Column("Sectors", True, 4, _sectors),
    Column("Size", True, 0, lambda region, _: human(region.bytes)),
    Column("Free", True, 2, _free),
    Column("GUID", False, 5, _guid),
)


class PartitionTable(Widget, can_focus=True):
    """Shows the regions of a disk as rows, and below them everything about the chosen one."""

    HELP = """
# Partition table

Start counts sectors. Up and Down choose a row, the map follows. Below the table is every
figure of the chosen row, exact.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("table")

    view: reactive[DiskView | None] = reactive(None)
    selected = reactive(0)

    @dataclass
    class Selected(Message):
        """A row was chosen."""

        index: int

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def watch_view(self) -> None:
        size = self.size
        if self.get_content_height(size, size, size.width) != size.height:
            self.refresh(layout=True)

    def action_move(self, by: int) -> None:
        """Chooses another row."""
        count = len(regions(self.view)) if self.view else 0
        self.selected = min(max(self.selected + by, 0), max(count - 1, 0))
        self.post_message(self.Selected(self.selected))

    def on_click(self, event: events.Click) -> None:
        if self.view and 1 <= event.y <= len(regions(self.view)):
            self.selected = event.y - 1
            self.post_message(self.Selected(self.selected))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        if self.view is None:
            return 1
        return 2 + len(regions(self.view)) + len(self._details(width))

    def render(self) -> Content:
        if self.view is None:
            return Content.styled("No plan yet", "$muted")
        width = self.size.width
        sector = self.view.sector_size
        found = regions(self.view)
        columns = [
            (column, [column.title, *(column.cell(region, sector) for region in found)])
            for column in COLUMNS
        ]
        while _width(columns) > width and len(columns) > 1:
            columns.remove(max(columns, key=lambda item: item[0].rank))
        lines = []
        for index in range(-1, len(found)):
            chosen = index == self.selected
            mark = self.glyphs.cursor if chosen else " "
            row = mark + "  ".join(
                pad(texts[index + 1], _wide(texts), right=column.right) for column, texts in columns
            )
            style = ("bold reverse" if self.has_focus else "bold") if chosen else ""
            lines.append(
                Content.styled(
                    fit(row, width, self.glyphs.ellipsis), "$muted" if index < 0 else style
                )
            )
        lines.append(Content(""))
        lines.extend(self._details(width))
        return Content("\n").join(lines)

    def _details(self, width: int) -> list[Content]:
        assert self.view is not None
        found = regions(self.view)
        if not found:
            return []
        region = found[min(self.selected, len(found) - 1)]
        pairs = list(details(region, self.view.sector_size))
        label = max(len(name) for name, _ in pairs) + 2
        lines: list[Content] = []
        for name, value in pairs:
            text = visible(value)
            if cell_len(text) <= width - label:
                lines.append(Content.assemble((pad(name, label), "$muted"), text))
            else:
                # Identifiers are for comparing: rather a line of their own than cut.
                lines.append(Content.styled(name, "$muted"))
                room = max(width - _INDENT, 1)
                lines.extend(Content(f"{' ' * _INDENT}{part}") for part in chop_cells(text, room))
        return lines

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()


def _wide(texts: list[str]) -> int:
    return max(cell_len(text) for text in texts)


def _width(columns: list[tuple[Column, list[str]]]) -> int:
    """Returns the width of a row: the mark, the columns, two cells between them."""
    return 1 + sum(_wide(texts) + 2 for _, texts in columns) - 2


def details(region: Region, sector_size: int) -> list[tuple[str, str]]:
    """Returns every figure of a region as pairs of name and value."""
    pairs = [("Size", in_bytes(region.bytes))]
    if region.id != region.role:
        pairs.append(("Role", region.role))
    partition, inside = region.partition, region.filesystem
    if partition is not None:
        last = partition.start + partition.sectors - 1
        pairs.append(("Sectors", f"{partition.start:,} to {last:,} of {sector_size} B"))
        pairs.append(("Type", partition.type))
        if partition.guid:
            pairs.append(("GUID", partition.guid))
        if partition.name:
            pairs.append(("Name", partition.name))
        if partition.flags:
            pairs.append(("Flags", ", ".join(partition.flags)))
    if inside is not None:
        pairs.append(("Label", inside.label or "-"))
        pairs.append(("UUID", inside.uuid))
        pairs.append(("Blocks", f"{inside.blocks:,} of {in_bytes(inside.block_size)}"))
        if inside.inodes:
            pairs.append(("Inodes", f"{inside.inodes:,}, {inside.free_inodes:,} free"))
        pairs.append(("Free", in_bytes(inside.free_bytes)))
    return pairs

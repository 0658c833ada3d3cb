"""The partition table in figures: the text equivalent of the map, one selection with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from engine.plan.model import Plan
from engine.plan.regions import Region, regions
from engine.units import human
from tui.glyphs import UNICODE, Glyphs
from tui.text import cut, fit, pad, visible
from tui.widgets.partition_map import ROLE_NAMES


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `need` is the table width from which on it is shown."""

    title: str
    width: int
    right: bool
    need: int
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
    Column("#", 2, True, 0, lambda region, _: str(region.number) if region.number else "-"),
    Column("Role", 9, False, 0, lambda region, _: ROLE_NAMES.get(region.role, region.role)),
    Column("File system", 11, False, 56, _filesystem),
    Column("Start", 12, True, 0, _start),
    Column("Sectors", 12, True, 68, _sectors),
    Column("Size", 10, True, 0, lambda region, _: human(region.bytes)),
    Column("Free", 10, True, 44, _free),
    Column("GUID", 36, False, 112, _guid),
)


class PartitionTable(Widget, can_focus=True):
    """Shows the regions of a plan as rows, and below them everything about the chosen one."""

    HELP = """
# Partition table

Start counts sectors. Up and Down choose a row, the map follows. Below the table stands every
figure of the chosen row, exact.
"""
    BINDINGS = [
        Binding("up", "move(-1)", "Up", show=False, id="table.up", tooltip="Choose the row above"),
        Binding("down", "move(1)", "Down", show=False, id="table.down", tooltip="Choose the row below"),
    ]  # fmt: skip

    plan: reactive[Plan | None] = reactive(None, layout=True)
    selected = reactive(0)

    @dataclass
    class Selected(Message):
        """A row was chosen."""

        index: int

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.glyphs = glyphs

    def action_move(self, by: int) -> None:
        """Chooses another row."""
        count = len(regions(self.plan)) if self.plan else 0
        self.selected = min(max(self.selected + by, 0), max(count - 1, 0))
        self.post_message(self.Selected(self.selected))

    def on_click(self, event: events.Click) -> None:
        """Chooses the row under the pointer."""
        if self.plan and 1 <= event.y <= len(regions(self.plan)):
            self.selected = event.y - 1
            self.post_message(self.Selected(self.selected))

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row for the head, one for each region, and the details."""
        if self.plan is None:
            return 1
        return 2 + len(regions(self.plan)) + len(self._details(width))

    def render(self) -> Content:
        """Draws head, rows and details."""
        if self.plan is None:
            return Content.styled("No plan yet", "$muted")
        width = self.size.width
        sector = self.plan.disk.sector_size
        columns = [column for column in COLUMNS if column.need <= width]
        head = " " + " ".join(_cell(column.title, column) for column in columns)
        lines = [Content.styled(fit(head, width), "$muted")]
        for index, region in enumerate(regions(self.plan)):
            chosen = index == self.selected
            mark = self.glyphs.cursor if chosen else " "
            row = mark + " ".join(_cell(column.cell(region, sector), column) for column in columns)
            style = ("bold reverse" if self.has_focus else "bold") if chosen else ""
            lines.append(Content.styled(fit(row, width), style))
        lines.append(Content(""))
        lines.extend(self._details(width))
        return Content("\n").join(lines)

    def _details(self, width: int) -> list[Content]:
        assert self.plan is not None
        found = regions(self.plan)
        if not found:
            return []
        region = found[min(self.selected, len(found) - 1)]
        pairs = list(details(region, self.plan.disk.sector_size))
        label = max(len(name) for name, _ in pairs) + 2
        return [
            Content.assemble(
                (pad(name, label), "$muted"), cut(visible(value), max(width - label, 1))
            )
            for name, value in pairs
        ]

    def on_focus(self) -> None:
        """Draws the selection as focused."""
        self.refresh()

    def on_blur(self) -> None:
        """Draws the selection as not focused."""
        self.refresh()


def _cell(text: str, column: Column) -> str:
    return pad(cut(text, column.width), column.width, right=column.right)


def details(region: Region, sector_size: int) -> list[tuple[str, str]]:
    """Returns every figure of a region as pairs of name and value."""
    pairs = [("Size", f"{region.bytes:,} bytes")]
    partition, inside = region.partition, region.filesystem
    if partition is not None:
        last = partition.start + partition.sectors - 1
        pairs.append(("Sectors", f"{partition.start:,} to {last:,} of {sector_size} bytes"))
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
        pairs.append(("Blocks", f"{inside.blocks:,} of {inside.block_size:,} bytes"))
        if inside.inodes:
            pairs.append(("Inodes", f"{inside.inodes:,}, {inside.free_inodes:,} free"))
        pairs.append(("Free", f"{inside.free_bytes:,} bytes"))
    return pairs

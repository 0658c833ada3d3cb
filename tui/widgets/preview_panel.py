"""The preview that never leaves: map, last change, table, breakdown."""

from __future__ import annotations

from functools import partial

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.reactive import reactive

from engine.disk.view import DiskView
from engine.units import in_bytes
from tui.borders import borders, resize
from tui.glyphs import UNICODE, Glyphs
from tui.preview import Preview
from tui.widgets.bars import ChangeLine
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.labels import Plain, Toggle
from tui.widgets.messages import VolumesEdited
from tui.widgets.partition_map import PartitionMap
from tui.widgets.partition_table import PartitionTable


class PreviewPanel(Vertical):
    """Shows a plan; map and table share one selection. What fits, the style sheet decides."""

    preview: reactive[Preview] = reactive(Preview)

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        yield PartitionMap(self.glyphs, id="map")
        with Horizontal(id="map-line"):
            yield ChangeLine(self.glyphs, id="change")
            yield Toggle("scale", "toggle_scale", id="scale-switch")
            yield Toggle("table", "toggle_table", id="table-switch")
        with VerticalScroll(id="figures", can_focus=False):
            yield PartitionTable(self.glyphs, id="table-widget")
            yield Plain("Where the bytes go", classes="section")
            yield BreakdownBar(self.glyphs, id="breakdown")

    def watch_preview(self, preview: Preview) -> None:
        if not self.is_mounted or not self.query(PartitionMap):
            return
        shown = self.query_one(PartitionMap)
        view = preview.view
        shown.borders = borders(preview)
        shown.view = view
        shown.dimmed = preview.stale
        self.query_one(PartitionTable).view = view
        self.query_one(BreakdownBar).view = view
        line = self.query_one(ChangeLine)
        line.changes = preview.changes
        line.summary = sentence(view) if view else ""
        line.stale = preview.stale and preview.plan is not None

    def toggle_scale(self) -> str:
        """Draws the map true to scale, or even; returns which, in words."""
        shown = self.query_one(PartitionMap)
        shown.to_scale = not shown.to_scale
        self.query_one("#scale-switch", Plain).show("[even]" if shown.to_scale else "[scale]")
        return "Map true to scale" if shown.to_scale else "Map with even widths"

    @on(PartitionMap.Selected)
    def _map_selected(self, message: PartitionMap.Selected) -> None:
        message.stop()
        self.query_one(PartitionTable).selected = message.index

    @on(PartitionMap.Moving)
    def _border_moves(self, message: PartitionMap.Moving) -> None:
        message.stop()
        ghost = message.ghost
        self.query_one(ChangeLine).moving = "" if ghost is None else ghost.border.told(ghost.size)
        self.screen.refresh_bindings()

    @on(PartitionMap.Resized)
    def _border_moved(self, message: PartitionMap.Resized) -> None:
        message.stop()
        edit = partial(resize, border=message.border, size=message.size)
        self.post_message(VolumesEdited(edit, f"size of {message.border.volume or 'the disk'}"))

    @on(PartitionTable.Selected)
    def _row_selected(self, message: PartitionTable.Selected) -> None:
        message.stop()
        self.query_one(PartitionMap).selected = message.index


def sentence(view: DiskView) -> str:
    """Returns the disk in a sentence."""
    kind = {"gpt": "GPT", "mbr": "MBR", "none": "Bare file system"}[view.table]
    return f"{kind}, {in_bytes(view.bytes)}"

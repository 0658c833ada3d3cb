"""The preview that never leaves: map, last change, table, breakdown."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.reactive import reactive

from engine.disk.view import DiskView
from tui.glyphs import UNICODE, Glyphs
from tui.preview import Preview
from tui.widgets.bars import ChangeLine
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.labels import Plain, Toggle
from tui.widgets.partition_map import PartitionMap
from tui.widgets.partition_table import PartitionTable


class PreviewPanel(Vertical):
    """Shows a plan; map and table share one selection. What fits, the style sheet decides."""

    preview: reactive[Preview] = reactive(Preview)

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        """Map above, figures below."""
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
        """Hands the disk on; one that belongs to an earlier spec is dimmed."""
        if not self.is_mounted or not self.query(PartitionMap):
            return
        shown = self.query_one(PartitionMap)
        view = preview.view
        shown.view = view
        shown.dimmed = preview.stale
        self.query_one(PartitionTable).view = view
        self.query_one(BreakdownBar).view = view
        line = self.query_one(ChangeLine)
        line.changes = preview.changes
        line.summary = sentence(view) if view else ""
        line.stale = preview.stale and preview.plan is not None

    @on(PartitionMap.Selected)
    def _map_selected(self, message: PartitionMap.Selected) -> None:
        message.stop()
        self.query_one(PartitionTable).selected = message.index

    @on(PartitionTable.Selected)
    def _row_selected(self, message: PartitionTable.Selected) -> None:
        message.stop()
        self.query_one(PartitionMap).selected = message.index


def sentence(view: DiskView) -> str:
    """Returns the disk in a sentence."""
    kind = {"gpt": "GPT", "mbr": "MBR", "none": "Bare file system"}[view.table]
    return f"{kind}, {view.bytes:,} bytes"

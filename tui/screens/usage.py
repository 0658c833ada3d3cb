"""What is large in the image, folder by folder."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from engine.manifest.usage import Item, Usage
from engine.plan.model import Plan
from engine.units import human, in_bytes
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.text import cut_left, pad, visible
from tui.widgets.labels import Plain
from tui.widgets.proportions import cells

LONGEST = 2000
"""Names listed of one folder; what is large comes first."""
_BAR = 12


class UsageScreen(Dialog[None]):
    """A list of one folder, the largest first; Enter goes down, Left or Backspace up."""

    HELP = """
# What is large

The bytes of files at and below each name, the largest first. A file with several names counts
once, under its first.

Enter or Right goes into a folder, Left or Backspace out of it, Escape closes.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("usage")

    def __init__(self, plan: Plan, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.plan = plan
        self.glyphs = glyphs
        self.path = b""
        self.usage: Usage | None = None
        self.items: tuple[Item, ...] = ()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog usage"):
            yield Plain("What is large", classes="dialog-title")
            yield Plain("Counting...", id="usage-place")
            yield OptionList(markup=False, compact=True)
            yield Plain("Enter goes in, Left goes up, Esc closes", classes="field-note")

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()
        self._count()

    @work(exclusive=True, group="usage")
    async def _count(self) -> None:
        self.usage = await asyncio.to_thread(lambda: Usage(self.plan.root_tree))
        self._show(b"")

    def _show(self, path: bytes, cursor: bytes | None = None) -> None:
        if self.usage is None:
            return
        self.path = path
        self.items = self.usage.children(path)
        total = self.usage.total(path)
        place = cut_left(f"/{visible(path)}", 40, self.glyphs.ellipsis)
        self.query_one("#usage-place", Plain).show(
            f"{place}  {human(total.size)}  ({in_bytes(total.size)}, {total.entries:,} entries)"
        )
        listed = self.query_one(OptionList)
        listed.clear_options()
        listed.add_options([Option(self._line(item, total.size)) for item in self.items[:LONGEST]])
        paths = [item.path for item in self.items]
        listed.highlighted = paths.index(cursor) if cursor in paths else 0 if paths else None

    def _line(self, item: Item, total: int) -> Content:
        used, rest = cells((item.size, max(total - item.size, 0)), _BAR, minimum=0)
        name = visible(item.name) + ("/" if item.kind == "directory" else "")
        below = f"  {item.entries - 1:,} below" if item.kind == "directory" else ""
        return Content.assemble(
            pad(human(item.size), 10, right=True),
            "  ",
            (self.glyphs.used * used, "$share-contents"),
            (self.glyphs.free * rest, "$faint"),
            "  ",
            (name, "bold" if item.kind == "directory" else ""),
            below,
        )

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self._enter(event.option_index)

    def action_down(self) -> None:
        """Goes into the folder under the cursor."""
        at = self.query_one(OptionList).highlighted
        if at is not None:
            self._enter(at)

    def _enter(self, index: int) -> None:
        if index < len(self.items) and self.items[index].kind == "directory":
            self._show(self.items[index].path)

    def action_up(self) -> None:
        """Goes to the folder above, the cursor on where one was."""
        if self.path:
            self._show(self.path.rpartition(b"/")[0], self.path)

    def action_close(self) -> None:
        self.dismiss(None)

"""Source and image as two panes, like a file manager: what is copied becomes an entry."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive

from engine.spec.model import Content as Entry
from tui.filing import ImageTree, Name, Names, Spot, copied, folder, why_not
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.preview import Preview
from tui.screens.closing import Page
from tui.text import cut_left, reason, visible
from tui.widgets.bars import KeyBar, ProblemLine, TitleBar
from tui.widgets.labels import Plain
from tui.widgets.row_table import RowTable


class FilingScreen(Page[None]):
    """At the left this machine, at the right the image as it would become."""

    HELP = """
# Source and image

At the left the folders of this machine, at the right the image as the plan has it: every mounted
volume in its place, a volume that is mounted nowhere in brackets.

- Enter goes into a folder, Backspace out of it, Tab to the other pane.
- **C** copies what is under the cursor at the left into the folder at the right: it adds one entry
  to the contents, which Ctrl+Z takes back. Nothing is written before the image is built.
- Escape goes back to the table of entries.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("filing")

    preview: reactive[Preview] = reactive(Preview)

    def __init__(
        self,
        base: Path,
        preview: Preview,
        glyphs: Glyphs = UNICODE,
        *,
        add: Callable[[Entry], None],
        undo: Callable[[], None],
    ) -> None:
        """Prepares the page.

        Args:
            base: Folder that relative sources start from; the left pane begins there.
            preview: What is designed now; whoever shows the page hands on what follows.
            glyphs: What is drawn with.
            add: Appends an entry to the contents.
            undo: Takes the last edit back.
        """
        super().__init__()
        self.base, self.glyphs = base.resolve(), glyphs
        self.place, self.spot = self.base, Spot()
        self.here: Sequence[Name] = ()
        self.there: Sequence[Name] = ()
        self._tree = ImageTree(None)
        self._add, self._undo = add, undo
        self.set_reactive(FilingScreen.preview, preview)

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        with Horizontal(id="filing"):
            with Vertical(classes="filing-pane"):
                yield Plain("", id="filing-place", classes="section")
                yield RowTable(self.glyphs, id="filing-source")
            with Vertical(classes="filing-pane -image"):
                yield Plain("", id="filing-spot", classes="section")
                yield RowTable(self.glyphs, id="filing-image")
        yield Plain("", id="filing-note")
        yield ProblemLine(self.glyphs, id="problem-line")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.query_one(TitleBar).file = "Source and image"
        self._show_place(self.place)
        self._show()
        self._source.focus()

    def on_resize(self) -> None:
        self._head()

    @property
    def _source(self) -> RowTable:
        return self.query_one("#filing-source", RowTable)

    @property
    def _image(self) -> RowTable:
        return self.query_one("#filing-image", RowTable)

    def watch_preview(self) -> None:
        if self.is_mounted:
            self._show()

    def _show(self) -> None:
        line = self.query_one(ProblemLine)
        line.problems, line.scanning = self.preview.problems, self.preview.waits_for_scan
        self._merge()

    @work(exclusive=True, group="filing")
    async def _merge(self) -> None:
        plan = self.preview.plan
        self._tree = await asyncio.to_thread(ImageTree, plan)
        self._show_spot(self.spot, keep=True)

    # ------------------------------------------------------------------ folders

    def _head(self) -> None:
        width = max(self.size.width // 2 - 4, 8)
        for name, text in (("place", self._named(self.place)), ("spot", self.spot.text)):
            shown = cut_left(text, width, self.glyphs.ellipsis)
            self.query_one(f"#filing-{name}", Plain).show(shown)

    def _named(self, place: Path) -> str:
        """Returns a folder as a spec would name it."""
        if place == self.base:
            return "The spec's folder"
        inside = place.is_relative_to(self.base)
        return visible(str(place.relative_to(self.base) if inside else place))

    def _show_place(self, place: Path, cursor: bytes = b"") -> None:
        try:
            self.here = folder(place)
        except OSError as error:
            self._say(f"{visible(str(place))} cannot be read: {reason(error)}")
            return
        self.place = place
        self._fill(self._source, self.here, cursor)

    def _show_spot(self, spot: Spot, cursor: bytes = b"", *, keep: bool = False) -> None:
        at = self._image.cursor
        if keep and at < len(self.there):
            cursor = self.there[at].name
        self.spot = self._tree.nearest(spot)
        self.there = self._tree.names(self.spot)
        self._fill(self._image, self.there, cursor)

    def _fill(self, table: RowTable, names: Sequence[Name], cursor: bytes) -> None:
        table.show(Names(names))
        order = [one.name for one in names]
        if cursor in order:
            table.go(order.index(cursor))
        self._head()

    def _chosen(self, table: RowTable) -> Name | None:
        names = self.here if table is self._source else self.there
        return names[table.cursor] if table.cursor < len(names) else None

    def _say(self, text: str) -> None:
        self.query_one("#filing-note", Plain).show(text)

    # ------------------------------------------------------------------ keys

    def action_open(self) -> None:
        """Goes into the folder under the cursor."""
        table = self._image if self._image.has_focus else self._source
        one = self._chosen(table)
        if one is None or not one.is_open:
            return
        if table is self._image:
            self._show_spot(self.spot.into(one))
        else:
            self._show_place(self.place / one.name.decode(errors="surrogateescape"))

    def action_up(self) -> None:
        """Goes to the folder above, the cursor on where one was."""
        if self._image.has_focus:
            name = self.spot.path.rpartition(b"/")[2] or self.spot.volume.encode()
            self._show_spot(self.spot.up(), name)
        elif self.place != self.place.parent:
            name = self.place.name.encode(errors="surrogateescape")
            self._show_place(self.place.parent, name)

    @on(RowTable.Opened)
    def _opened(self) -> None:
        self.action_open()

    def action_other(self) -> None:
        """Goes to the other pane."""
        (self._source if self._image.has_focus else self._image).focus()

    def action_copy(self) -> None:
        """Adds an entry for what is under the cursor at the left."""
        one = self._chosen(self._source)
        why = "There is nothing to copy" if one is None else why_not(one)
        if one is None or why:
            self._say(why)
            self.app.bell()
            return
        entry = copied(self.base, self.place, one, self.spot)
        self._add(entry)
        where = f"{entry.volume}: {entry.target}" if entry.volume else entry.target
        arrow = self.glyphs.arrow
        self._say(visible(f"{entry.source} {arrow} {where}. Ctrl+Z takes it back"))

    def action_undo(self) -> None:
        """Takes the last edit back, as on the page below."""
        self._undo()
        self._say("")

    def action_back(self) -> None:
        """Goes back to the table."""
        self.dismiss(None)

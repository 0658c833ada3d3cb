"""An existing image: shown, browsed, and taken as the beginning of a design."""

from __future__ import annotations

import asyncio
import stat
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from engine.inspect.extract import Extracted
from engine.units import human
from tui.extraction import summary
from tui.glyphs import UNICODE, Glyphs
from tui.image_summary import ImageSummary
from tui.keys import bindings
from tui.screens.closing import Page
from tui.screens.dialogs import AskScreen
from tui.screens.extract import ExtractScreen
from tui.screens.messages import BootRequested, DocumentChosen, FlashRequested, ImageRequested
from tui.screens.paths import PathScreen
from tui.screens.take import TakeScreen
from tui.screens.verb import VerbScreen
from tui.screens.view import ViewScreen
from tui.text import pad, visible
from tui.viewing import LONGEST, ImageSession, Place, Unreadable
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.fact_list import FactList
from tui.widgets.figure_tree import FigureTree
from tui.widgets.labels import Plain
from tui.widgets.partition_map import PartitionMap
from tui.widgets.partition_table import PartitionTable

_SIZE = 10
"""Cells of a file's size."""


class FileTree(FigureTree[Place | None]):
    """The files of all partitions; a folder is read when it is opened."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("files")

    def figures(self, data: Place | None) -> str:
        """Returns the size of a file."""
        if data is None or not data.is_file:
            return ""
        return pad(human(data.node.size), _SIZE, right=True)


class ImageScreen(Page[None]):
    """Shows an image with the map, table and figures of a plan; changes nothing in it."""

    HELP = """
# An image

What is in an existing image, read without mounting it and without changing it.

- Left and Right on the map, Up and Down in the table choose a partition; Page down from there
  shows what else is known: where the bytes go, boot entries, kernels and loaders.
- In the files, Enter opens a folder or shows a file; below stand mode, owner and size of the name.
- **X** writes the file, the folder or the whole partition under the cursor to disk.
- **S** makes a spec of it: table, sizes and identifiers, and the files if you like.
- **W** writes it to a stick, a card or a disk.
- Escape goes back.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("image")

    def __init__(self, path: Path, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.image = ImageSession(path)
        self.glyphs = glyphs

    @property
    def summary(self) -> ImageSummary | None:
        """What the image holds, once it is read."""
        return self.image.summary

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        with Vertical(id="image-map"):
            yield PartitionMap(self.glyphs, id="map")
        with Container(id="image-body"):
            with VerticalScroll(id="image-figures", can_focus=False):
                yield Plain("Reading...", id="image-state")
                yield FactList(self.glyphs, id="image-facts")
                yield PartitionTable(self.glyphs, id="table-widget")
                yield Plain("Where the bytes go", classes="section", id="image-bytes")
                yield BreakdownBar(self.glyphs)
                yield Plain("What boots, and how", classes="section")
                yield FactList(self.glyphs, id="image-details")
            with Vertical(id="image-files"):
                yield FileTree(self.glyphs, id="files")
                yield Plain("", id="image-node")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.query_one(TitleBar).file = str(self.image.path)
        self.query_one(FileTree).focus()
        self._open()

    @work(exclusive=True, group="image")
    async def _open(self) -> None:
        try:
            summary = await asyncio.to_thread(self.image.open)
        except Unreadable as why:
            self.add_class("-unread")
            words = visible(f"{self.glyphs.error} {self.image.path} cannot be opened: {why}")
            self.query_one("#image-state", Plain).show(Content.styled(words, "$state-error"))
            return
        self._show(summary)

    def _show(self, summary: ImageSummary) -> None:
        view = summary.view
        table = "" if view.table == "none" else f" {view.table.upper()}"
        figure = f"{summary.format}, {human(view.bytes)}{table}, read only"
        self.query_one(TitleBar).figure = figure
        self.query_one(PartitionMap).view = view
        self.query_one(PartitionTable).view = view
        self.query_one(BreakdownBar).view = view
        self.query_one("#image-bytes").display = bool(view.breakdown)
        self.query_one("#image-state", Plain).display = False
        self.query_one("#image-facts", FactList).facts = summary.facts
        self.query_one("#image-details", FactList).facts = summary.details
        self._show_parts()
        self.refresh_bindings()

    def _show_parts(self) -> None:
        """Lists the file systems, and opens the one whose files are likeliest wanted."""
        tree = self.query_one(FileTree)
        for part in self.image.parts:
            node = tree.root.add(part.label, part.top, allow_expand=part.top is not None)
            if part.likely:
                self.call_after_refresh(tree.move_cursor, node)
                node.expand()
        tree.root.expand()

    def on_unmount(self) -> None:
        self.image.close()

    # ------------------------------------------------------------------ files

    @on(Tree.NodeExpanded)
    @work(group="expand")
    async def _expanded(self, event: Tree.NodeExpanded[Place | None]) -> None:
        place = event.node.data
        if place is None or event.node.children:
            return
        try:
            found = await asyncio.to_thread(self.image.children, place)
        except Unreadable as why:
            event.node.add_leaf(visible(f"{self.glyphs.error} cannot be read: {why}"), None)
            return
        if event.node.children:  # closed and opened again meanwhile
            return
        for inside in found:
            self._add(event.node, inside)
        if len(found) == LONGEST:
            event.node.add_leaf(f"only the first {LONGEST:,} names are listed", None)

    def _add(self, parent: TreeNode[Place | None], place: Place) -> None:
        node = place.node
        name = visible(node.name)
        if place.is_folder:
            parent.add(f"{name}/", place)
        elif stat.S_ISLNK(node.mode):
            parent.add_leaf(f"{name} {self.glyphs.arrow} {visible(node.target)}", place)
        else:
            parent.add_leaf(name, place)

    @property
    def _place(self) -> Place | None:
        node = self.query_one(FileTree).cursor_node
        return None if node is None else node.data

    @on(Tree.NodeHighlighted)
    def _looked_at(self, event: Tree.NodeHighlighted[Place | None]) -> None:
        place = event.node.data
        self._say("" if place is None else place.words)
        self.refresh_bindings()

    def _say(self, text: str) -> None:
        self.query_one("#image-node", Plain).show(text)

    @on(Tree.NodeSelected)
    @work(group="view", exclusive=True)
    async def _selected(self, event: Tree.NodeSelected[Place | None]) -> None:
        place = event.node.data
        if place is None or not place.is_file:
            return
        try:
            data = await asyncio.to_thread(self.image.beginning, place)
        except Unreadable as why:
            self._say(visible(f"{self.glyphs.error} {why}"))
            return
        await self.app.push_screen(ViewScreen(place.name, data, place.node.size, self.glyphs))

    @work(group="extract", exclusive=True)
    async def action_extract(self) -> None:
        """Writes what is under the cursor to disk."""
        place = self._place
        if place is None:
            return
        question = PathScreen(
            f"Extract {place.name}",
            "To a name that is not there yet, from the current folder. One that ends in .tar "
            "becomes an archive, which keeps owners and modes.",
            base=Path.cwd(),
            value=self.image.proposed(place),
            button="Extract",
        )
        dest = await self.app.push_screen_wait(question)
        if dest is None:
            return
        done = await self._extract(place.name, [(place, dest)])
        if done is not None:
            self._say(visible(f"{self.glyphs.done} {summary(done)}, written to {dest}"))

    async def _extract(self, what: str, wanted: list[tuple[Place, Path]]) -> Extracted | None:
        """Writes places to disk; None where nothing was written."""
        job = partial(self.image.extract, wanted)
        dest = wanted[0][1]
        return await self.app.push_screen_wait(ExtractScreen(what, dest, job, self.glyphs))

    # ------------------------------------------------------------------ the map and the table

    @on(PartitionMap.Selected)
    def _map_selected(self, message: PartitionMap.Selected) -> None:
        self.query_one(PartitionTable).selected = message.index

    @on(PartitionTable.Selected)
    def _row_selected(self, message: PartitionTable.Selected) -> None:
        self.query_one(PartitionMap).selected = message.index

    # ------------------------------------------------------------------ a spec

    @work(group="extract", exclusive=True)
    async def action_spec(self) -> None:
        """Designs an image like this one."""
        summary = self.summary
        if summary is None:
            return
        found = summary.takeover
        archives: dict[str, Path] | None = {}
        if found.suffixes:
            question = TakeScreen(self.image.path, found, self.glyphs)
            archives = await self.app.push_screen_wait(question)
        if archives is None:
            return
        if archives:
            job, dest = partial(self.image.take, archives), next(iter(archives.values()))
            what = f"the files of {self.image.path.name}"
            screen = ExtractScreen(what, dest, job, self.glyphs)
            if await self.app.push_screen_wait(screen) is None:
                return
        self.app.post_message(DocumentChosen(self.image.document(archives), asks=True))
        self.dismiss(None)

    # ------------------------------------------------------------------ a larger image

    @work(group="extract", exclusive=True)
    async def action_grow(self) -> None:
        """Asks for a size, makes the image as large, and looks into it anew."""
        question = AskScreen(
            f"Grow {self.image.path.name}",
            "Its new size (8GiB), or how much larger it gets (+2GiB). The last volume grows, with "
            "the ext file system in it; the image stays as it is until the larger one is checked.",
            "+1GiB",
            "Grow",
        )
        size = await self.app.push_screen_wait(question)
        if not size:
            return
        screen = VerbScreen("grow", self.image.path, self.glyphs, arguments=("--to", size))
        self.app.run_worker(screen.work.run(), group="verb", exclusive=True, exit_on_error=False)
        await self.app.push_screen_wait(screen)
        self.dismiss(None)
        self.app.post_message(ImageRequested(self.image.path))

    def action_boot(self) -> None:
        """Boots the image, its console in a pane."""
        self.app.post_message(BootRequested(self.image.path))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"spec", "flash", "boot"}:
            return self.summary is not None
        if action == "grow":
            return self.summary is not None and self.image.path.is_file()
        if action == "extract":
            place = self._place if self.summary is not None else None
            return place is not None and (place.is_file or place.is_folder)
        return super().check_action(action, parameters)

    def action_flash(self) -> None:
        """Writes the image to a disk."""
        self.app.post_message(FlashRequested(self.image.path))

    def action_back(self) -> None:
        self.dismiss(None)

"""An existing image: shown, browsed, and taken as the beginning of a design."""

from __future__ import annotations

import asyncio
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, TypeVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from engine.image.container import BadImage
from engine.image.reading import Filesystem, Node, contents
from engine.importers.files import extract_all
from engine.importers.image import is_unknown, unknown_why, with_archives
from engine.importers.model import IsCancelled, OnProgress, free_archive
from engine.inspect.extract import Extracted
from engine.inspect.image import Image, open_image
from engine.units import human
from tui.document import Document
from tui.excerpt import MOST_BYTES
from tui.extraction import summary
from tui.glyphs import UNICODE, Glyphs
from tui.image_summary import ImageSummary, summarize
from tui.keys import bindings
from tui.screens.extract import ExtractScreen
from tui.screens.messages import DocumentChosen
from tui.screens.paths import PathScreen
from tui.screens.take import TakeScreen
from tui.screens.view import ViewScreen
from tui.shared_image import SharedImage
from tui.text import pad, reason, visible
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.fact_list import FactList
from tui.widgets.figure_tree import FigureTree
from tui.widgets.labels import Plain
from tui.widgets.partition_map import PartitionMap
from tui.widgets.partition_table import PartitionTable

LONGEST = 2000
"""Names listed of one folder."""
_SIZE = 10
"""Cells of a file's size."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder in one of the image's file systems."""

    part: str
    filesystem: Filesystem
    node: Node

    @property
    def name(self) -> str:
        """What to call it, as safe text."""
        path = visible(self.node.path)
        return f"/{path}" if path else f"all of {self.part}"


class FileTree(FigureTree[Place | None]):
    """The files of all partitions; a folder is read when it is summary."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("files")

    def figures(self, data: Place | None) -> str:
        """Returns the size of a file."""
        if data is None or not stat.S_ISREG(data.node.mode):
            return ""
        return pad(human(data.node.size), _SIZE, right=True)


class ImageScreen(Screen[None]):
    """Shows an image with the map, table and figures of a plan; changes nothing in it."""

    HELP = """
# An image

What is in an existing image, read without mounting it and without changing it.

- Left and Right on the map, Up and Down in the table choose a partition; Page down from there
  shows what else is known: where the bytes go, boot entries, kernels and loaders.
- In the files, Enter opens a folder or shows a file; below stand mode, owner and size of the name.
- **X** writes the file, the folder or the whole partition under the cursor to disk.
- **S** makes a spec of it: table, sizes and identifiers, and the files if you like.
- Escape goes back.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("image")

    def __init__(self, path: Path, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.path = path
        self.glyphs = glyphs
        self.summary: ImageSummary | None = None
        self._shared: SharedImage | None = None
        self._is_left = False

    def compose(self) -> ComposeResult:
        """Title, map, figures at the left, files at the right."""
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
        """Reads it aside."""
        self.query_one(TitleBar).file = str(self.path)
        self.query_one(FileTree).focus()
        self._open()

    @work(exclusive=True, group="image")
    async def _open(self) -> None:
        try:
            image, summary = await asyncio.to_thread(self._look)
        except (BadImage, struct.error, OSError) as error:
            self.add_class("-unread")
            words = visible(f"{self.glyphs.error} {self.path} cannot be opened: {reason(error)}")
            self.query_one("#image-state", Plain).show(Content.styled(words, "$state-error"))
            return
        self.summary = summary
        self._show(image, summary)

    def _look(self) -> tuple[Image, ImageSummary]:
        """Opens and reads the image, on a thread that may outlive the screen."""
        self._shared = shared = SharedImage(open_image(self.path))
        if self._is_left:
            shared.close()
        with shared as image:
            if is_unknown(image):
                raise BadImage(f"it {unknown_why(image)}")
            return image, summarize(image)

    def _show(self, image: Image, summary: ImageSummary) -> None:
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
        self._show_parts(image, summary.takeover.filesystems.get("root"))
        self.refresh_bindings()

    def _show_parts(self, image: Image, likeliest: Filesystem | None) -> None:
        """Lists the file systems, and opens the one whose files are likeliest wanted."""
        tree = self.query_one(FileTree)
        for part in image.parts:
            if part.filesystem is None:
                continue
            top = _top(part.name, part.filesystem)
            label = f"{part.name}, {part.filesystem.type} {part.filesystem.label}".rstrip()
            node = tree.root.add(visible(label), top, allow_expand=top is not None)
            if likeliest is None or part.filesystem is likeliest:
                likeliest = part.filesystem
                self.call_after_refresh(tree.move_cursor, node)
                node.expand()
        tree.root.expand()

    def on_unmount(self) -> None:
        """Lets go of the file."""
        self._is_left = True
        if self._shared is not None:
            self._shared.close()

    async def _read(self, work: Callable[[Image], T]) -> T:
        """Runs work on the image on a thread."""
        shared = self._shared
        assert shared is not None

        def reading() -> T:
            with shared as image:
                return work(image)

        return await asyncio.to_thread(reading)

    # ------------------------------------------------------------------ files

    @on(Tree.NodeExpanded)
    @work(group="expand")
    async def _expanded(self, event: Tree.NodeExpanded[Place | None]) -> None:
        place = event.node.data
        if place is None or event.node.children:
            return
        try:
            nodes = await self._read(
                lambda _: list(islice(place.filesystem.children(place.node), LONGEST))
            )
        except (BadImage, struct.error, OSError) as error:
            event.node.add_leaf(visible(f"{self.glyphs.error} cannot be read: {error}"), None)
            return
        if event.node.children:  # closed and opened again meanwhile
            return
        for node in nodes:
            self._add(event.node, Place(place.part, place.filesystem, node))
        if len(nodes) == LONGEST:
            event.node.add_leaf(f"only the first {LONGEST:,} names are listed", None)

    def _add(self, parent: TreeNode[Place | None], place: Place) -> None:
        node = place.node
        name = visible(node.name)
        if stat.S_ISDIR(node.mode):
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
        self._say(_words(event.node.data))
        self.refresh_bindings()

    def _say(self, text: str) -> None:
        self.query_one("#image-node", Plain).show(text)

    @on(Tree.NodeSelected)
    @work(group="view", exclusive=True)
    async def _selected(self, event: Tree.NodeSelected[Place | None]) -> None:
        place = event.node.data
        if place is None or _kind(place) != stat.S_IFREG:
            return
        try:
            data = await self._read(lambda _: contents(place.filesystem, place.node, MOST_BYTES))
        except (BadImage, struct.error, OSError) as error:
            self._say(visible(f"{self.glyphs.error} {error}"))
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
            value=self._proposed(place),
            button="Extract",
        )
        dest = await self.app.push_screen_wait(question)
        if dest is None:
            return
        done = await self._extract(place.name, [(place, dest)])
        if done is not None:
            self._say(visible(f"{self.glyphs.done} {summary(done)}, written to {dest}"))

    def _proposed(self, place: Place) -> str:
        """Returns the name that what is extracted gets unless the user says otherwise."""
        if place.node.path:
            return visible(place.node.name)
        stem = visible(self.path.name).partition(".")[0] or "image"
        return free_archive(Path.cwd(), f"{stem}-{place.part.replace(' ', '-')}").name

    async def _extract(self, what: str, wanted: list[tuple[Place, Path]]) -> Extracted | None:
        """Writes places to disk; None where nothing was written."""
        shared = self._shared
        assert shared is not None
        places = [(place.filesystem, place.node, dest) for place, dest in wanted]

        def job(progress: OnProgress, cancelled: IsCancelled) -> Extracted:
            with shared:
                return extract_all(places, progress, cancelled)

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
        taken = {name: place for name, place in self._tops() if place is not None}
        archives: dict[str, Path] | None = {}
        if taken:
            found = summary.takeover
            archives = await self.app.push_screen_wait(TakeScreen(self.path, found, self.glyphs))
        if archives is None:
            return
        wanted = [(taken[name], dest) for name, dest in archives.items() if name in taken]
        if wanted and await self._extract(f"the files of {self.path.name}", wanted) is None:
            return
        folder = wanted[0][1].parent if wanted else self.path.resolve().parent
        sources = {name: dest.name for name, dest in archives.items() if name in taken}
        document = Document(
            spec=with_archives(summary.spec, sources), base=folder, title=f"like {self.path.name}"
        )
        self.app.post_message(DocumentChosen(document, asks=True))
        self.dismiss(None)

    def _tops(self) -> list[tuple[str, Place | None]]:
        """Returns the topmost folder of each file system that can come along."""
        assert self.summary is not None
        found = self.summary.takeover.filesystems
        return [(name, _top(name, filesystem)) for name, filesystem in found.items()]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing can be done with an image that is not read."""
        if action == "spec":
            return self.summary is not None
        if action == "extract":
            place = self._place if self.summary is not None else None
            return place is not None and _kind(place) in {stat.S_IFREG, stat.S_IFDIR}
        return super().check_action(action, parameters)

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss(None)


def _top(part: str, filesystem: Filesystem) -> Place | None:
    try:
        node = filesystem.lookup(b"")
    except (BadImage, struct.error):
        return None
    return None if node is None else Place(part, filesystem, node)


def _kind(place: Place) -> int:
    return stat.S_IFMT(place.node.mode)


def _words(place: Place | None) -> str:
    if place is None:
        return ""
    node = place.node
    mode = stat.filemode(node.mode)
    return f"/{visible(node.path)}\n{mode} {node.uid}:{node.gid}  {node.size:,} bytes"

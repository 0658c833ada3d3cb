"""An image that is there already: looked at, browsed, and taken as a starting point."""

from __future__ import annotations

import asyncio
import stat
import struct
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical, VerticalScroll
from textual.screen import Screen
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from engine.inspect.container import BadImage
from engine.inspect.image import AnyFilesystem, Image
from engine.inspect.reading import Node
from engine.units import human
from tui.document import Document
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.opened import Opened
from tui.screens.messages import DocumentChosen
from tui.text import visible
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.labels import Plain
from tui.widgets.partition_map import PartitionMap
from tui.widgets.partition_table import PartitionTable

LONGEST = 2000
"""Names listed of one folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder in one of the image's file systems."""

    filesystem: AnyFilesystem
    node: Node


class FileTree(Tree[Place | None]):
    """The files of all partitions; a folder is read when it is opened."""

    ICON_NODE = "+ "
    ICON_NODE_EXPANDED = "- "

    def __init__(self) -> None:
        super().__init__("image", id="files")
        self.show_root = False
        self.show_guides = False
        self.guide_depth = 2


class ImageScreen(Screen[None]):
    """Shows an opened image with the map, table and figures of a plan; changes nothing."""

    HELP = """
# An image

What is in an existing image, read without mounting it and without changing it.

- Left and Right on the map, Up and Down in the table choose a partition.
- In the files, Enter opens a folder; below stand mode, owner and size of the name.
- **S** takes table, sizes and identifiers into a new spec. Contents you add yourself.
- Escape goes back.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("image")

    def __init__(self, image: Image, opened: Opened, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.image = image
        self.opened = opened
        self.glyphs = glyphs

    def compose(self) -> ComposeResult:
        """Title, map, figures at the left, files at the right."""
        yield TitleBar(self.glyphs, id="title")
        with Vertical(id="image-map"):
            yield PartitionMap(self.glyphs, id="map")
        with Container(id="image-body"):
            with VerticalScroll(id="image-figures", can_focus=False):
                yield Plain("", id="image-facts")
                yield PartitionTable(self.glyphs, id="table-widget")
                yield Plain("Where the bytes go", classes="section")
                yield BreakdownBar(self.glyphs)
            with Vertical(id="image-files"):
                yield FileTree()
                yield Plain("", id="image-node")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        """Fills everything."""
        plan = self.opened.plan
        title = self.query_one(TitleBar)
        title.file = str(self.image.path)
        title.figure = f"{human(plan.disk.bytes)} {plan.disk.table}, read only"
        self.query_one(PartitionMap).plan = plan
        self.query_one(PartitionTable).plan = plan
        self.query_one(BreakdownBar).plan = plan
        facts = "\n".join(visible(fact) for fact in self.opened.facts)
        self.query_one("#image-facts", Plain).show(facts)
        tree = self.query_one(FileTree)
        for part in self.image.parts:
            if part.filesystem is None:
                continue
            root = self._root(part.filesystem)
            label = f"{part.name}, {part.filesystem.type} {part.filesystem.label}".rstrip()
            tree.root.add(visible(label), root, allow_expand=root is not None)
        tree.root.expand()
        tree.focus()
        for first in tree.root.children[:1]:
            self.call_after_refresh(tree.move_cursor, first)

    def _root(self, filesystem: AnyFilesystem) -> Place | None:
        try:
            node = filesystem.lookup(b"")
        except (BadImage, struct.error):
            return None
        return None if node is None else Place(filesystem, node)

    def on_unmount(self) -> None:
        """Lets go of the file."""
        self.image.disk.close()

    @on(Tree.NodeExpanded)
    async def _expanded(self, event: Tree.NodeExpanded[Place | None]) -> None:
        place = event.node.data
        if place is None or event.node.children:
            return
        try:
            nodes = await asyncio.to_thread(
                lambda: list(islice(place.filesystem.children(place.node), LONGEST))
            )
        except (BadImage, struct.error) as error:
            event.node.add_leaf(visible(f"{self.glyphs.error} cannot be read: {error}"), None)
            return
        for node in nodes:
            self._add(event.node, Place(place.filesystem, node))
        if len(nodes) == LONGEST:
            event.node.add_leaf(f"only the first {LONGEST:,} names are listed", None)

    def _add(self, parent: TreeNode[Place | None], place: Place) -> None:
        node = place.node
        name = visible(node.name)
        if stat.S_ISDIR(node.mode):
            parent.add(Text(f"{name}/"), place)
        elif stat.S_ISLNK(node.mode):
            parent.add_leaf(Text(f"{name} {self.glyphs.arrow} {visible(node.target)}"), place)
        else:
            parent.add_leaf(Text(f"{name}  {human(node.size)}"), place)

    @on(Tree.NodeHighlighted)
    def _looked_at(self, event: Tree.NodeHighlighted[Place | None]) -> None:
        self.query_one("#image-node", Plain).show(_words(event.node.data))

    @on(PartitionMap.Selected)
    def _map_selected(self, message: PartitionMap.Selected) -> None:
        self.query_one(PartitionTable).selected = message.index

    @on(PartitionTable.Selected)
    def _row_selected(self, message: PartitionTable.Selected) -> None:
        self.query_one(PartitionMap).selected = message.index

    def action_spec(self) -> None:
        """Designs an image like this one."""
        folder = self.image.path.resolve().parent
        document = Document(
            spec=self.opened.spec, base=folder, title=f"like {self.image.path.name}"
        )
        self.app.post_message(DocumentChosen(document))
        self.dismiss(None)

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss(None)


def _words(place: Place | None) -> str:
    if place is None:
        return ""
    node = place.node
    mode = stat.filemode(node.mode)
    return f"/{visible(node.path)}\n{mode} {node.uid}:{node.gid}  {node.size:,} bytes"

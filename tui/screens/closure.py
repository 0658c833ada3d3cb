"""Where the space of a Nix closure goes: store path by store path, and why each is there."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from engine.nix.closure import Closure
from engine.nix.summary import Duplicate, PathSize, Summary
from engine.units import human, in_bytes
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.text import pad, visible
from tui.widgets.figure_tree import FigureTree
from tui.widgets.labels import Plain

LARGEST = 30
"""Paths listed by their own size."""
_FIGURE = 10
_KEYS = "Enter opens and closes a line, Esc leaves"

Item = PathSize | Duplicate | None


class ClosureTree(FigureTree[Item]):
    """Store paths, each with the size of its closure and its own."""

    def figures(self, data: Item) -> str:
        """Returns both sizes."""
        if isinstance(data, PathSize):
            sizes = human(data.closure), human(data.own)
        elif isinstance(data, Duplicate):
            sizes = "", human(data.bytes)
        else:
            return ""
        return " ".join(pad(size, _FIGURE, right=True) for size in sizes)


class ClosureScreen(Dialog[None]):
    """Three branches: what was asked for, what is large on its own, what is there twice."""

    HELP = """
# Closure

Everything the Nix system needs, store path by store path. The left figure is the path with all
it needs, the right one the path alone; both are bytes of its archive.

- **Asked for**: each path opens to what it refers to, the largest first.
- **Largest**: the paths that take most on their own.
- **More than once**: packages present in several versions, with what one version would save.

Below stands why the path is in the image: the shortest chain of references to it.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("closure")

    def __init__(self, closure: Closure, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.closure = closure
        self.glyphs = glyphs
        self.summary = Summary(closure)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog closure"):
            yield Plain("Closure", classes="dialog-title")
            yield Plain("Adding up...", id="closure-total")
            yield Plain("", id="closure-head")
            yield ClosureTree(self.glyphs)
            yield Plain("", id="closure-why")
            yield Plain(_KEYS, id="closure-keys", classes="field-note")

    def on_mount(self) -> None:
        tree = self.query_one(Tree)
        tree.focus()
        self.watch(tree, "show_vertical_scrollbar", self._scrollbar_changed, init=False)
        self._add_up()

    def _scrollbar_changed(self) -> None:
        self.call_after_refresh(self.on_resize)

    def on_resize(self) -> None:
        heads = " ".join(pad(title, _FIGURE, right=True) for title in ("with needs", "alone"))
        width = self.query_one(ClosureTree).scrollable_content_region.width
        self.query_one("#closure-head", Plain).show(
            Content.styled(pad("Store path", max(width - cell_len(heads), 0)) + heads, "$muted")
        )

    @work(exclusive=True, group="closure")
    async def _add_up(self) -> None:
        duplicates = await asyncio.to_thread(self.summary.duplicates)
        saved = sum(found.bytes for found in duplicates)
        self.query_one("#closure-total", Plain).show(
            f"{len(self.closure):,} store paths, {human(self.summary.total)} "
            f"({in_bytes(self.summary.total)})"
        )
        tree = self.query_one(ClosureTree)
        asked = tree.root.add("Asked for", None, expand=True)
        self._add(asked, self.summary.roots())
        self._add(tree.root.add("Largest", None), self.summary.largest(LARGEST))
        if duplicates:
            title = f"More than once ({len(duplicates)}, {human(saved)} beyond the largest of each)"
            several = tree.root.add(title, None)
            for found in duplicates:
                text = f"{visible(found.package)}, {len(found.paths)} times"
                self._add(several.add(text, found), found.paths)
        tree.root.expand()
        # Lines get their numbers when they are asked for; moving the cursor only after the next
        # refresh would undo a key that is pressed until then.
        assert tree.last_line >= 0
        tree.move_cursor(asked.children[0] if asked.children else asked)
        for first in asked.children[:1]:
            first.expand()
        self.on_resize()

    def _add(self, node: TreeNode[Item], paths: tuple[PathSize, ...]) -> None:
        for path in paths:
            node.add(visible(path.name), path, allow_expand=bool(path.references))

    @on(Tree.NodeExpanded)
    def _expanded(self, event: Tree.NodeExpanded[Item]) -> None:
        data = event.node.data
        if isinstance(data, PathSize) and not event.node.children:
            self._add(event.node, self.summary.children(data.path))

    @on(Tree.NodeHighlighted)
    def _looked_at(self, event: Tree.NodeHighlighted[Item]) -> None:
        self.query_one("#closure-why", Plain).show(self._why(event.node.data))

    def _why(self, item: Item) -> Content:
        if isinstance(item, Duplicate):
            return Content(f"One version in place of all would save about {in_bytes(item.bytes)}.")
        if item is None:
            return Content("")
        arrow = f" {self.glyphs.arrow} "
        chain = [visible(step.name) for step in self.summary.why(item.path)]
        reason = "asked for" if len(chain) == 1 else arrow.join(chain)
        return Content("\n").join(
            [
                Content(visible(item.path)),
                Content.assemble(("Here because: ", "$muted"), reason),
                Content.styled(
                    f"{in_bytes(item.own)} alone, {item.closure:,} with all it needs", "$muted"
                ),
            ]
        )

    def action_close(self) -> None:
        self.dismiss(None)

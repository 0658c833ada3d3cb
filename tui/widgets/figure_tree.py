"""A tree with figures in columns at its right edge."""

from __future__ import annotations

from typing import TypeVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text, TextType
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from tui.glyphs import UNICODE, Glyphs
from tui.text import cut, pad

T = TypeVar("T")
_MARK = 2
_SHORTEST = 8
"""Cells of a name, however little room there is."""


class FigureTree(Tree[T]):
    """A tree whose names give way to figures; what figures, subclasses say."""

    ICON_NODE = "+ "
    ICON_NODE_EXPANDED = "- "

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__("", id=id)
        self.glyphs = glyphs
        self.show_root = False
        self.show_guides = False
        self.guide_depth = 2

    def process_label(self, label: TextType) -> Text:
        """Takes text as text, never as markup."""
        return Text(label) if isinstance(label, str) else label

    def figures(self, data: T | None) -> str:
        """Returns what stands at the right of a line, equally wide wherever there is something."""
        raise NotImplementedError

    def get_label_width(self, node: TreeNode[T]) -> int:
        """Returns nothing to scroll to: lines are cut to what there is, not measured one by one."""
        return 0

    def render_label(self, node: TreeNode[T], base_style: Style, style: Style) -> Text:
        """Draws mark, name and figures, exactly as wide as there is room."""
        level, above = 0, node.parent
        while above is not None and above is not self.root:
            level, above = level + 1, above.parent
        mark = " " * _MARK
        if node.allow_expand:
            mark = self.ICON_NODE_EXPANDED if node.is_expanded else self.ICON_NODE
        figures = self.figures(node.data)
        taken = level * self.guide_depth + _MARK + cell_len(figures) + 1
        room = max(self.scrollable_content_region.width - taken, _SHORTEST)
        label = node.label.plain if isinstance(node.label, Text) else str(node.label)
        name = pad(cut(label, room, self.glyphs.ellipsis), room)
        return Text.assemble((f"{mark}{name} ", style), (figures, style))

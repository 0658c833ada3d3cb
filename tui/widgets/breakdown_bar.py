"""What the disk's bytes are spent on: one stacked bar and its figures."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from engine.disk.view import DiskView, Share
from engine.units import human
from tui.glyphs import UNICODE, Glyphs
from tui.text import cut, pad
from tui.widgets.proportions import cells

SHARE_KINDS = {
    "table": "table",
    "boot-gap": "table",
    "bios-boot": "table",
    "esp-metadata": "esp",
    "esp-contents": "esp",
    "esp-free": "free",
    "contents": "contents",
    "rounding": "contents",
    "directories": "contents",
    "reserved": "reserved",
    "free": "free",
    "unformatted": "free",
    "alignment": "table",
    "tail": "table",
}
"""Kind of each share; everything else a file system keeps for itself is metadata."""

FILLS_UNICODE = {
    "contents": "█", "metadata": "▓", "reserved": "▒", "free": "░", "esp": "▞",
    "table": UNICODE.gap,
}  # fmt: skip
FILLS_ASCII = {
    "contents": "#", "metadata": "%", "reserved": "+", "free": ".", "esp": "=", "table": "/",
}  # fmt: skip


def kind(share: Share) -> str:
    """Returns what a share is, which decides colour and fill."""
    return SHARE_KINDS.get(share.key, "metadata")


class BreakdownBar(Widget):
    """A bar of a disk's breakdown and below it, room permitting, a line for each part.

    In one row it is the bar alone.
    """

    view: reactive[DiskView | None] = reactive(None)
    exact = reactive(False)

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def watch_view(self) -> None:
        """Lays the screen out anew only where the height changes."""
        size = self.size
        if self.get_content_height(size, size, size.width) != size.height:
            self.refresh(layout=True)

    @property
    def fills(self) -> dict[str, str]:
        """The glyph of each kind, so that the bar reads without colour."""
        return FILLS_UNICODE if self.glyphs is UNICODE else FILLS_ASCII

    def shares(self) -> Sequence[Share]:
        """Returns the parts that are not empty."""
        return [] if self.view is None else [part for part in self.view.breakdown if part.bytes]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """The bar, a line for each part, and the sum."""
        return 2 + len(self.shares())

    def render(self) -> Content:
        """Draws bar and legend."""
        shares = self.shares()
        width = self.size.width
        if self.view is None or not shares or width <= 0:
            return Content("")
        widths = cells([share.bytes for share in shares], width)
        bar = Content("").join(
            Content.styled(self.fills[kind(share)] * part, f"$share-{kind(share)}")
            for share, part in zip(shares, widths, strict=True)
        )
        if self.size.height < 3:
            return bar
        figure = max(len(self._figure(self.view.bytes)), 10)
        name = max(width - figure - 4, 4)
        lines = [bar]
        lines.extend(
            Content.assemble(
                (self.fills[kind(share)] * 2, f"$share-{kind(share)}"),
                " ",
                pad(cut(share.label, name, self.glyphs.ellipsis), name),
                " ",
                pad(self._figure(share.bytes), figure, right=True),
            )
            for share in shares
        )
        total = pad("Sum = the disk", name + 3) + " "
        lines.append(
            Content.assemble(
                (total, "$muted"),
                (pad(self._figure(self.view.bytes), figure, right=True), "bold"),
            )
        )
        return Content("\n").join(lines)

    def _figure(self, size: int) -> str:
        return f"{size:,}" if self.exact else human(size)

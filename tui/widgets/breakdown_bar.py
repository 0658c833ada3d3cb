"""What the disk's bytes are spent on: one stacked bar and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.widget import Widget

from engine.disk.view import DiskView, Share, regions
from engine.units import human
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.text import cut, pad
from tui.widgets.map_parts import name_of
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
    "bound": "metadata",
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


_SIMPLE = frozenset({"", "root", "esp", "bios-boot"})
"""Volumes whose parts are told one by one; with any other, it is told volume by volume."""


def kind(share: Share) -> str:
    """Returns what a share is, which decides colour and fill."""
    # A volume's own parts are called like those of the root, with its id in front.
    own = share.key.removeprefix(f"{share.volume}-") if share.volume not in _SIMPLE else share.key
    return SHARE_KINDS.get(own, "metadata")


_OWN = "The disk's own"
_BAR = 10
"""Cells of a volume's own bar."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of figures: a part, or a volume that its parts can be shown of.

    Attributes:
        volume: Id of the volume that it stands for or belongs to; "" for the disk's own.
        opens: Whether it is a volume's line.
    """

    label: str
    bytes: int
    shares: tuple[Share, ...]
    volume: str = ""
    opens: bool = False


class BreakdownBar(Widget):
    """A bar of a disk's breakdown and below it, room permitting, a line for each part.

    With more volumes than a root and what boots it, a line for each volume, which opens to its
    parts. In one row it is the bar alone.
    """

    HELP = """
# Where the bytes go

Each line is a volume with what its bytes are: files, the file system's own, free. Up and Down
choose one, Enter shows its parts, Left hides them. Ctrl+B shows every figure in bytes.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("breakdown")

    view: reactive[DiskView | None] = reactive(None)
    exact = reactive(False)
    cursor = reactive(0)

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._open: set[str] = set()

    def watch_view(self) -> None:
        self.can_focus = self.by_volume
        self.cursor = min(self.cursor, max(len(self.lines()) - 1, 0))
        self._fit()

    def _fit(self) -> None:
        size = self.size
        if self.get_content_height(size, size, size.width) != size.height:
            self.refresh(layout=True)
        else:
            self.refresh()

    @property
    def fills(self) -> dict[str, str]:
        """The glyph of each kind, so that the bar reads without colour."""
        return FILLS_UNICODE if self.glyphs is UNICODE else FILLS_ASCII

    def shares(self) -> Sequence[Share]:
        """Returns the parts that are not empty."""
        return [] if self.view is None else [part for part in self.view.breakdown if part.bytes]

    @property
    def by_volume(self) -> bool:
        """Whether there are more volumes than can be told part by part."""
        return any(share.volume not in _SIMPLE for share in self.shares())

    def lines(self) -> list[Line]:
        """Returns what stands below the bar; the lines that open and those below none sum up."""
        shares = self.shares()
        if not self.by_volume:
            return [Line(share.label, share.bytes, (share,)) for share in shares]
        assert self.view is not None
        found: list[Line] = []
        ids = ["", *dict.fromkeys(region.id for region in regions(self.view))]
        for name in ids:
            parts = tuple(share for share in shares if share.volume == name)
            if not parts:
                continue
            label = name_of(name) if name else _OWN
            total = sum(share.bytes for share in parts)
            found.append(Line(label, total, parts, name, opens=True))
            if name in self._open:
                found.extend(
                    Line(self._within(share), share.bytes, (share,), name) for share in parts
                )
        return found

    @staticmethod
    def _within(share: Share) -> str:
        """Returns the label of a part below its volume's line."""
        _, colon, rest = share.label.partition(": ")
        text = rest if colon and share.volume else share.label
        return text[:1].upper() + text[1:]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 2 + len(self.lines())

    # ------------------------------------------------------------------ keys

    def action_move(self, by: int) -> None:
        """Goes to another volume."""
        places = [index for index, line in enumerate(self.lines()) if line.opens]
        if places:
            at = max((n for n, index in enumerate(places) if index <= self.cursor), default=0)
            self.cursor = places[min(max(at + by, 0), len(places) - 1)]
            self._keep_in_sight()

    def action_open(self) -> None:
        """Shows the parts of the volume under the cursor, or hides them."""
        self._toggle(self.cursor)

    def action_close(self) -> None:
        """Hides the parts of the volume under the cursor."""
        lines = self.lines()
        if self.cursor < len(lines):
            self._open.discard(lines[self.cursor].volume)
            self._fit()

    def _toggle(self, index: int) -> None:
        lines = self.lines()
        if index < len(lines) and lines[index].opens:
            self._open ^= {lines[index].volume}
            self._fit()

    def on_click(self, event: events.Click) -> None:
        if self.by_volume and 1 <= event.y <= len(self.lines()):
            self.cursor = event.y - 1
            self._toggle(self.cursor)

    def on_focus(self) -> None:
        self._keep_in_sight()
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def _keep_in_sight(self) -> None:
        for above in self.ancestors:
            if isinstance(above, VerticalScroll):
                row = self.content_region.y + 1 + self.cursor
                top = row - above.content_region.y + int(above.scroll_y)
                above.scroll_to_region(Region(0, top, 1, 1), animate=False)
                return

    # ------------------------------------------------------------------ drawing

    def render(self) -> Content:
        lines = self.lines()
        width = self.size.width
        if self.view is None or not lines or width <= 0:
            return Content("")
        shares = tuple(share for line in lines for share in line.shares if self._counts(line))
        bar = self._bar(shares, width)
        if self.size.height < 3:
            return bar
        figure = max(len(self._figure(self.view.bytes)), 10)
        drawn = [bar]
        drawn.extend(self._line(index, line, width, figure) for index, line in enumerate(lines))
        name = max(width - figure - 4, 4)
        total = pad("Sum = the disk", name + 3) + " "
        drawn.append(
            Content.assemble(
                (total, "$muted"),
                (pad(self._figure(self.view.bytes), figure, right=True), "bold"),
            )
        )
        return Content("\n").join(drawn)

    def _counts(self, line: Line) -> bool:
        """Whether a line's bytes are not told by another one, too."""
        return line.opens or not self.by_volume

    def _bar(self, shares: Sequence[Share], width: int, *, minimum: int = 1) -> Content:
        widths = cells([share.bytes for share in shares], width, minimum=minimum)
        return Content("").join(
            Content.styled(self.fills[kind(share)] * part, f"$share-{kind(share)}")
            for share, part in zip(shares, widths, strict=True)
        )

    def _line(self, index: int, line: Line, width: int, figure: int) -> Content:
        if not line.opens:
            fill = kind(line.shares[0])
            indent = 4 if self.by_volume else 0
            name = max(width - indent - figure - 4, 4)
            return Content.assemble(
                " " * indent,
                (self.fills[fill] * 2, f"$share-{fill}"),
                " ",
                pad(cut(line.label, name, self.glyphs.ellipsis), name),
                " ",
                pad(self._figure(line.bytes), figure, right=True),
            )
        room = _BAR if width >= figure + _BAR + 12 else 0
        name = max(width - figure - room - 4, 4)
        mark = "-" if line.volume in self._open else "+"
        style = ""
        if self.has_focus and index == self.cursor:
            style = "$block-cursor-foreground on $block-cursor-background bold"
        return Content.assemble(
            (f"{mark} {pad(cut(line.label, name, self.glyphs.ellipsis), name)} ", style),
            self._bar(line.shares, room, minimum=0),
            " ",
            (pad(self._figure(line.bytes), figure, right=True), style),
        )

    def _figure(self, size: int) -> str:
        return f"{size:,} B" if self.exact else human(size)

"""The partition map: the disk to scale, in three rows, one tab stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from engine.disk.view import DiskView, Region, regions
from engine.units import MIB, human
from tui.borders import Border
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.text import cut, fit
from tui.widgets.map_parts import MANY, WHOLE, Drawn, arranged, describe, grounds, name_of
from tui.widgets.proportions import cells

ANIMATION_SECONDS = 0.15
"""From one plan's widths to the next one's."""


@dataclass(frozen=True, slots=True)
class Ghost:
    """A border on the move: the size that its volume would get, which is not an edit yet.

    Attributes:
        index: Of the region before the border, in disk order.
    """

    index: int
    border: Border
    size: int


class PartitionMap(Widget, can_focus=True):
    """Draws the regions of a disk; the selection is shared with the partition table.

    First row the names, second the sizes, third how much of each file system is taken.
    """

    HELP = """
# Partition map

The disk from its first to its last byte. The lowest row shows how much of each file system
is taken (`█`) and how much is free (`░`); hatched parts belong to no volume. Where there are
more volumes than can be read, neighbours are drawn as one, with a `+` and how many they are.

- Left and Right choose a partition, the table follows; a click does the same.
- `<` and `>` move the border behind it, and so does dragging that border: the new size shows
  before it counts. Enter takes it, Escape leaves everything as it was; Ctrl+Z takes it back.
- Ctrl+T switches between even widths, where small partitions can be read, and true scale.
"""

    BINDINGS: ClassVar[list[BindingType]] = bindings("map")

    view: reactive[DiskView | None] = reactive(None)
    selected = reactive(0)
    to_scale = reactive(False)
    dimmed = reactive(False)
    ghost: reactive[Ghost | None] = reactive(None)
    way = reactive(float(WHOLE))

    @dataclass
    class Selected(Message):
        """A region was chosen; `index` counts regions in disk order."""

        index: int

    @dataclass
    class Moving(Message):
        """A border moves, or no longer does; nothing is edited yet."""

        ghost: Ghost | None

    @dataclass
    class Resized(Message):
        """A border was moved: its volume is to have another size."""

        border: Border
        size: int

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.regions: tuple[Region, ...] = ()
        self.borders: Mapping[str, Border] = {}
        self._grounds: list[str] = []
        self._before: dict[str, int] = {}
        self._held: int | None = None
        self._dragged = False

    def watch_view(self, view: DiskView | None) -> None:
        before = self._widths()
        name = self.regions[self.selected].id if self.selected < len(self.regions) else "root"
        self.regions = () if view is None else regions(view)
        self.ghost = None
        self.choose(name)
        if before and self.app.animation_level != "none" and before != self._widths():
            self._before, self.way = before, 0.0
            self.animate("way", float(WHOLE), duration=ANIMATION_SECONDS, level="basic")

    def _widths(self) -> dict[str, int]:
        return {part.region.id: part.width for part in self.drawn()}

    def choose(self, name: str) -> None:
        """Selects a volume by its id; where it has no place, the last region."""
        names = [region.id for region in self.regions]
        self.selected = names.index(name) if name in names else max(len(names) - 1, 0)

    def watch_selected(self, index: int) -> None:
        self._take()
        self.post_message(self.Selected(index))

    def action_move(self, by: int) -> None:
        """Chooses another region."""
        last = len(self.regions) - 1
        self.selected = min(max(self.selected + by, 0), max(last, 0))

    def drawn(self) -> list[Drawn]:
        """Returns where each region stands, in cells of this widget."""
        return arranged(
            self.regions,
            self.size.width,
            selected=self.selected,
            to_scale=self.to_scale,
            before=self._before,
            way=int(self.way),
        )

    def render(self) -> Content:
        drawn = self.drawn()
        if not drawn:
            return Content.styled("No partition map yet", "$muted")
        single = self.size.height < 3
        rows = (self._names,) if single else (self._names, self._sizes, self._use)
        self._grounds = grounds([region.role for region in self.regions])
        between = " " if self.size.width > 2 * len(drawn) else ""
        lines = [Content(between).join([row(part) for part in drawn]) for row in rows]
        lines = [
            self._haunted(line, row == self._sizes) for line, row in zip(lines, rows, strict=True)
        ]
        content = Content("\n").join(lines)
        return content.stylize("dim") if self.dimmed else content

    def _style(self, part: Drawn) -> str:
        if part.region.role == "gap" and len(part.regions) == 1:
            style = "$volume-free"
        else:
            ground = MANY if len(part.regions) > 1 else self._grounds[part.index]
            style = f"{ground}-text on {ground}"
        if self._is_selected(part):
            style += " bold underline" if self.has_focus else " bold"
        return style

    def _is_selected(self, part: Drawn) -> bool:
        return part.index <= self.selected < part.index + len(part.regions)

    def _names(self, part: Drawn) -> Content:
        region = part.region
        mark = self.glyphs.cursor if self._is_selected(part) else " "
        if len(part.regions) > 1:
            inside = self.regions[self.selected] if self._is_selected(part) else None
            text = f"{mark}+{len(part.regions)}" + (f" {name_of(inside.id)}" if inside else "")
            return Content.styled(fit(cut(text, part.width, ""), part.width), self._style(part))
        name = name_of(region.id)
        number = f"{region.number} " if region.number else ""
        if region.role == "gap" and part.width < len(name) + 2:
            return Content.styled(self.glyphs.gap * part.width, self._style(part))
        for text in (
            f"{mark}{number}{name}",
            f"{mark}{name}",
            f"{mark}{number}".rstrip(),
            number.strip() or mark,
        ):
            if len(text) <= part.width:
                return Content.styled(fit(text, part.width), self._style(part))
        return Content.styled(fit(cut(name, part.width, ""), part.width), self._style(part))

    def _sizes(self, part: Drawn) -> Content:
        text = f" {human(part.bytes)}"
        if len(text) > part.width:
            text = ""
        if part.region.role == "gap" and len(part.regions) == 1 and not text:
            return Content.styled(self.glyphs.gap * part.width, self._style(part))
        return Content.styled(fit(text, part.width), self._style(part))

    def _use(self, part: Drawn) -> Content:
        region = part.region
        style = self._style(part).replace(" underline", "")
        if len(part.regions) > 1:
            return Content.styled(self.glyphs.plain * part.width, style)
        if region.role == "gap":
            return Content.styled(self.glyphs.gap * part.width, style)
        if region.used is None:
            return Content.styled(self.glyphs.plain * part.width, style)
        used, free = cells((region.used, region.bytes - region.used), part.width, minimum=0)
        return Content.styled(self.glyphs.used * used + self.glyphs.free * free, style)

    # ------------------------------------------------------------------ moving a border

    def watch_ghost(self, ghost: Ghost | None) -> None:
        self.post_message(self.Moving(ghost))

    def action_nudge(self, by: int) -> None:
        """Moves the border behind the chosen region by a step that goes with its size."""
        index, ghost = self.selected, self.ghost
        border = self._border(index)
        if border is None:
            self.app.bell()
            return
        size = ghost.size if ghost is not None and ghost.index == index else border.bytes
        self.ghost = Ghost(index, border, border.stepped(size, by))

    def _border(self, index: int) -> Border | None:
        region = self.regions[index] if index < len(self.regions) else None
        return self.borders.get(region.id) if region is not None else None

    def action_take(self) -> None:
        """Makes the size that is shown the volume's."""
        self._take()

    def action_leave(self) -> None:
        """Leaves the border where it is."""
        self.ghost = None
        self._held = None

    def _take(self) -> None:
        ghost, self.ghost = self.ghost, None
        if ghost is not None and ghost.size != ghost.border.bytes:
            self.post_message(self.Resized(ghost.border, ghost.size))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"take", "leave"}:
            return self.ghost is not None
        return super().check_action(action, parameters)

    def _cell(self, border: Border, part: Drawn) -> int:
        """Returns the bytes that a cell stands for where a border moves."""
        if self.to_scale and self.view is not None:
            return max(self.view.bytes // max(self.size.width, 1), MIB)
        return max(border.bytes // max(part.width, 1), MIB)

    def _sized(self, index: int) -> Drawn | None:
        """Returns the part whose size the border behind a region changes."""
        border = self._border(index)
        shown = self.drawn()
        for at, part in enumerate(shown):
            if part.index <= index < part.index + len(part.regions):
                behind = border is not None and border.behind and at + 1 < len(shown)
                return shown[at + 1] if behind else part
        return None

    def _column(self, index: int) -> int:
        """Returns the column of the border behind a region."""
        for part in self.drawn():
            if part.index <= index < part.index + len(part.regions):
                return part.end
        return 0

    def _haunted(self, line: Content, says: bool) -> Content:
        """Returns a row with what a border on the move gives and takes."""
        ghost = self.ghost
        part = None if ghost is None else self._sized(ghost.index)
        if ghost is None or part is None:
            return line
        more = ghost.size - ghost.border.bytes
        cell = self._cell(ghost.border, part)
        right = (more < 0) == ghost.border.behind
        count = -(-abs(more) // cell)
        at, width = self._column(ghost.index), self.size.width
        start, end = (at, min(at + count, width)) if right else (max(at - count, 0), at)
        if end - start < 1 and more:
            start = max(end - 1, 0)
        style = f"{MANY}-text on {MANY} bold"
        mark = self.glyphs.plain if more > 0 else self.glyphs.gap
        line = _covered(line, start, mark * (end - start), style)
        if says:
            text = f" {human(ghost.size)} "
            goal = end if right else start
            line = _covered(
                line, max(min(goal - len(text) // 2, width - len(text)), 0), text, style
            )
        return line

    def on_mouse_down(self, event: events.MouseDown) -> None:
        for part in self.drawn():
            last = part.index + len(part.regions) - 1
            if part.end - 1 <= event.x <= part.end and self._border(last) is not None:
                self._held, self._dragged = last, False
                self.capture_mouse()
                return

    def on_mouse_up(self, event: events.MouseUp) -> None:
        if self._held is not None:
            self._held = None
            self.release_mouse()
            self._take()

    def _drag(self, x: int) -> None:
        index = self._held
        border = None if index is None else self._border(index)
        part = None if index is None else self._sized(index)
        if index is None or border is None or part is None:
            return
        moved = x - self._column(index)
        if moved in {0, -1} and not self._dragged:
            return
        self._dragged = True
        more = moved * self._cell(border, part) * (-1 if border.behind else 1)
        self.ghost = Ghost(index, border, border.snapped(border.bytes + more))

    def on_click(self, event: events.Click) -> None:
        if self._dragged:
            self._dragged = False
            return
        for part in self.drawn():
            if part.column <= event.x < part.end:
                within = (event.x - part.column) * len(part.regions) // max(part.width, 1)
                self.selected = part.index + within

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._held is not None:
            self._drag(event.x)
            return
        for part in self.drawn():
            if part.column <= event.x < part.end:
                self.tooltip = Content("\n").join(map(describe, part.regions))
                return

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self._take()
        self.refresh()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width


def _covered(line: Content, at: int, text: str, style: str) -> Content:
    """Returns a row with a text laid over it."""
    end = at + len(text)
    return line[:at] + Content.styled(text, style) + line[end:] if text else line

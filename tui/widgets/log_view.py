"""The lines of a build's log: drawn straight from the list, so that a batch costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip

from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.loglines import LogLine, Stream
from tui.text import cut, visible

MOST_LINES = 50_000
"""Lines kept; the record on disk has them all."""
_PRUNED = MOST_LINES // 10
_WIDEST = 400
_TIME_CELLS = 8


class LogView(ScrollView, can_focus=True):
    """Shows log lines; follows the end until somebody looks back."""

    HELP = """
# Log

What the tools print and what each step did. While the end is in sight the log follows; going up
stops that, End resumes. `/` searches, `n` and `N` go on, `f` keeps one step, `s` one stream,
Enter shows a long line in full, `c` copies the line.

`$` a command, `!` standard error, a dot what a step says of itself.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("log")
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--time",
        "log--step",
        "log--command",
        "log--note",
        "log--stdout",
        "log--stderr",
        "log--cursor",
        "log--found",
    }

    class Moved(Message):
        """What is in sight changed."""

    @dataclass
    class Wanted(Message):
        """A line is to be shown in full."""

        line: LogLine

    def __init__(
        self,
        glyphs: Glyphs = UNICODE,
        *,
        timed: bool = True,
        id: str | None = None,
    ) -> None:
        """Prepares the view.

        Args:
            glyphs: What to draw with.
            timed: Begin each line with its time and a mark of where it is from.
            id: Of the widget.
        """
        super().__init__(id=id)
        self.glyphs = glyphs
        self.timed = timed
        self.following = True
        self.cursor = 0
        self.needle = ""
        self.seen = 0
        self._all: list[LogLine] = []
        self._shown: list[LogLine] = self._all
        self._step = ""
        self._stream = ""
        self._width = 0

    # ------------------------------------------------------------------ lines

    @property
    def lines(self) -> Sequence[LogLine]:
        """The lines that pass the filters."""
        return self._shown

    @property
    def unseen(self) -> int:
        """How many lines came since it stopped following."""
        return 0 if self.following else max(len(self._shown) - self.seen, 0)

    def add(self, lines: Sequence[LogLine]) -> None:
        """Appends a batch."""
        if not lines:
            return
        self._all.extend(lines)
        fresh: Sequence[LogLine] = lines
        if self._shown is not self._all:
            fresh = [line for line in lines if self._passes(line)]
            self._shown.extend(fresh)
        self._prune()
        self._measure(fresh)
        self._resize()

    def replace(self, lines: Sequence[LogLine]) -> None:
        """Shows other lines, from their beginning."""
        self._all.clear()
        self.filter(step="", stream="")
        self.stay()
        self.add(lines)
        self.seen = len(self._shown)
        self._go(0)

    def _prune(self) -> None:
        for lines in {id(kept): kept for kept in (self._all, self._shown)}.values():
            if len(lines) <= MOST_LINES:
                continue
            gone = len(lines) - MOST_LINES + _PRUNED
            del lines[:gone]
            if lines is self._shown:
                # What is being read stays where it is.
                self.cursor = max(self.cursor - gone, 0)
                self.seen = max(self.seen - gone, 0)
                if not self.following:
                    self.scroll_to(y=max(self.scroll_y - gone, 0), animate=False, immediate=True)

    def filter(self, *, step: str, stream: str) -> None:
        """Shows only the lines of a step, of a stream; "" for all."""
        self._step, self._stream = step, stream
        self._shown = (
            [line for line in self._all if self._passes(line)] if step or stream else self._all
        )
        self._width = 0
        self._measure(self._shown)
        self.follow()

    def _passes(self, line: LogLine) -> bool:
        return (not self._step or line.step == self._step) and (
            not self._stream or line.stream == self._stream
        )

    def _measure(self, lines: Sequence[LogLine]) -> None:
        longest = max((len(line.text) for line in lines), default=0)
        # Wide characters take two cells; a little too much to scroll does no harm.
        self._width = max(self._width, min(2 * longest, _WIDEST) if longest else 0)

    def _resize(self) -> None:
        self.virtual_size = Size(self._width + _TIME_CELLS + 3, len(self._shown))
        if self.following:
            self.cursor = max(len(self._shown) - 1, 0)
            self.seen = len(self._shown)
            self.scroll_end(animate=False, immediate=True, force=True, x_axis=False)
        self.refresh()
        self.post_message(self.Moved())

    # ------------------------------------------------------------------ moving

    def follow(self) -> None:
        """Goes to the end and stays there."""
        self.following = True
        self._resize()

    def stay(self) -> None:
        """Stays where it is, whatever comes."""
        self.following, self.seen = False, len(self._shown)

    def _go(self, to: int) -> None:
        last = max(len(self._shown) - 1, 0)
        self.cursor = min(max(to, 0), last)
        if self.following and self.cursor < last:
            self.following, self.seen = False, len(self._shown)
        elif self.cursor == last:
            self.following = True
        top = min(int(self.scroll_y), self.cursor)
        height = max(self.scrollable_content_region.height, 1)
        self.scroll_to(y=max(top, self.cursor - height + 1), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Moved())

    def action_move(self, by: int) -> None:
        """Moves the cursor."""
        self._go(self.cursor + by)

    def action_page(self, pages: int) -> None:
        """Moves the cursor by what is in sight."""
        self._go(self.cursor + pages * max(self.size.height - 1, 1))

    def action_first(self) -> None:
        """Goes to the first line."""
        self._go(0)

    def action_follow(self) -> None:
        """Goes to the end and follows."""
        self.follow()

    def action_sideways(self, by: int) -> None:
        """Scrolls long lines."""
        self.scroll_to(x=self.scroll_x + by, animate=False)

    def action_full(self) -> None:
        """Asks for the line under the cursor in full."""
        if line := self.current():
            self.post_message(self.Wanted(line))

    def current(self) -> LogLine | None:
        """Returns the line under the cursor."""
        return self._shown[self.cursor] if self.cursor < len(self._shown) else None

    def find(self, needle: str, by: int = 0) -> bool:
        """Goes to the next line with a text, upper and lower case alike.

        Args:
            needle: What to look for.
            by: 1 for the next, -1 for the one before, 0 for the nearest from the cursor on.

        Returns:
            Whether there is one.
        """
        self.needle = needle.casefold()
        count = len(self._shown)
        direction = -1 if by < 0 else 1
        for distance in range(abs(by), count + 1):
            at = (self.cursor + direction * distance) % count if count else 0
            if count and self.needle in self._shown[at].text.casefold():
                self._go(at)
                return True
        self.refresh()
        return False

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._go(min(self.cursor, int(self.scroll_y) + self.size.height - 1) - 3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._go(self.cursor + 3)

    def on_click(self, event: events.Click) -> None:
        at = int(self.scroll_y) + event.y
        if at < len(self._shown):
            again = at == self.cursor and event.chain > 1
            self._go(at)
            if again:
                self.action_full()

    # ------------------------------------------------------------------ drawing

    def _glyph(self, stream: Stream) -> str:
        return {
            "step": self.glyphs.cursor,
            "command": "$",
            "note": self.glyphs.dot,
            "stdout": " ",
            "stderr": self.glyphs.warning,
        }[stream]

    def plain(self, line: LogLine) -> str:
        """Returns a line as it is drawn: safe, one row, not too wide."""
        shown = cut(visible(line.text[:_WIDEST].expandtabs(8)), _WIDEST, self.glyphs.ellipsis)
        if not self.timed:
            return shown
        return f"{line.time:{_TIME_CELLS - 1}.2f} {self._glyph(line.stream)} {shown}"

    def render_line(self, y: int) -> Strip:
        left, top = self.scroll_offset
        width = self.size.width
        at = top + y
        if at >= len(self._shown):
            return Strip.blank(width, self.rich_style)
        line = self._shown[at]
        text = self.plain(line)
        ground = self.rich_style
        style = ground + self.get_component_rich_style(f"log--{line.stream}", partial=True)
        time = ground + self.get_component_rich_style("log--time", partial=True)
        if at == self.cursor and self.has_focus:
            mark = self.get_component_rich_style("log--cursor", partial=True)
            ground, style, time = ground + mark, style + mark, time + mark
        at_text = _TIME_CELLS if self.timed else 0
        segments = [Segment(text[:at_text], time), *self._marked(text[at_text:], style)]
        strip = Strip(segments, cell_len(text))
        if (selection := self.text_selection) is not None and (span := selection.get_span(at)):
            strip = self._selected(strip, *span)
        return strip.crop_extend(left, left + width, ground).apply_offsets(left, at)

    def _marked(self, text: str, style: Style) -> list[Segment]:
        """Returns the text with what is searched for standing out."""
        folded = text.casefold()
        if not self.needle or self.needle not in folded or len(folded) != len(text):
            return [Segment(text, style)]
        found = style + self.get_component_rich_style("log--found", partial=True)
        parts, begin = [], 0
        while (at := folded.find(self.needle, begin)) >= 0:
            end = at + len(self.needle)
            parts += [Segment(text[begin:at], style), Segment(text[at:end], found)]
            begin = end
        return [*parts, Segment(text[begin:], style)]

    def _selected(self, strip: Strip, start: int, end: int) -> Strip:
        style = self.screen.get_component_rich_style("screen--selection")
        end = strip.cell_length if end == -1 else end
        before, inside, after = strip.divide([start, end, strip.cell_length])
        return Strip.join([before, inside.apply_style(style), after])

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Returns the selected text."""
        return selection.extract("\n".join(self.plain(line) for line in self._shown)), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Draws the selection."""
        self.refresh()

    def on_resize(self) -> None:
        if self.following:
            self._resize()

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

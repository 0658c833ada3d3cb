"""A guest's serial console that takes keys."""

from __future__ import annotations

from functools import lru_cache

from rich.color import ColorParseError
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from tui.consoles import ConsoleSession, key_bytes

LEAVE = ("ctrl+right_square_bracket", "f12")
"""Keys that the guest does not get."""
_NAMES = {"brown": "yellow", "brightbrown": "bright_yellow"}
_PLAIN = Style()


class Console(Widget, can_focus=True):
    """Draws a console; every key but those that leave it goes to the guest."""

    HELP = """
# Console

The image boots in a virtual machine; what it writes to the image is forgotten. Every key goes to
the machine but Ctrl+] and F12, which end it and go back, and Ctrl+Q, which quits.
"""

    def __init__(self, session: ConsoleSession, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.session = session
        self._drawn = -1

    def show(self) -> None:
        """Draws what has changed."""
        if self.session.changed != self._drawn:
            self._drawn = self.session.changed
            self.refresh()

    @property
    def _top(self) -> int:
        """The first line in sight: the cursor stays there, and so does the last line written."""
        screen = self.session.screen
        written = max((y for y, row in screen.buffer.items() if row), default=0)
        return max(min(max(screen.cursor.y, written) + 1, screen.lines) - self.size.height, 0)

    def render_line(self, y: int) -> Strip:
        screen, width = self.session.screen, self.size.width
        ground = self.rich_style
        row = y + self._top
        if row >= screen.lines:
            return Strip.blank(width, ground)
        line = screen.buffer[row]
        left = max(screen.cursor.x - width + 1, 0) if row == screen.cursor.y else 0
        segments = []
        for x in range(left, screen.columns):
            cell = line[x]
            style = ground + _style(cell.fg, cell.bg, cell.bold, cell.underscore, cell.reverse)
            if (x, row) == (screen.cursor.x, screen.cursor.y) and self.has_focus:
                style += Style(reverse=True)
            data = cell.data if cell.data.isprintable() else " " * bool(cell.data)
            segments.append(Segment(data, style))
        return Strip(segments).simplify().adjust_cell_length(width, ground)

    async def _on_key(self, event: events.Key) -> None:
        if event.key in LEAVE:
            return
        event.stop()
        event.prevent_default()
        self.session.press(key_bytes(event.key, event.character))

    def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        self.session.press(event.text.replace("\n", "\r").encode())


@lru_cache(maxsize=512)
def _style(fg: str, bg: str, bold: bool, underline: bool, reverse: bool) -> Style:
    try:
        return Style(
            color=_colour(fg), bgcolor=_colour(bg), bold=bold, underline=underline, reverse=reverse
        )
    except ColorParseError:
        return _PLAIN


def _colour(name: str) -> str | None:
    """Returns a colour of pyte as Rich names it: a name, or six hexadecimal digits."""
    if name == "default":
        return None
    if len(name) == 6 and all(digit in "0123456789abcdefABCDEF" for digit in name):
        return f"#{name}"
    name = _NAMES.get(name, name)
    return f"bright_{name.removeprefix('bright')}" if name.startswith("bright") else name

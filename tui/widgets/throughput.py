"""What the build moves: bytes so far, how fast, and how that went over time."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Size

from engine.units import human
from tui.glyphs import UNICODE, Glyphs
from tui.progress import BuildState
from tui.text import cut, pad
from tui.widgets.painting import Painting

BARS_UNICODE = " ▁▂▃▄▅▆▇█"
BARS_ASCII = " .:-=+*%#"
_LABEL = 12


class Throughput(Painting):
    """Figures and a graph; in one row, both beside each other."""

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.state = BuildState()

    @property
    def bars(self) -> str:
        """Nothing to full, in nine steps."""
        return BARS_UNICODE if self.glyphs is UNICODE else BARS_ASCII

    def show(self, state: BuildState) -> None:
        """Draws a state of the build."""
        self.state = state
        self.repaint()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return 9

    def pairs(self) -> list[tuple[str, str]]:
        """Returns the figures as names and values."""
        state = self.state
        rate = state.rate
        table = str(state.plan.get("disk", {}).get("table", ""))
        return [
            ("Disk", f"{human(state.disk_bytes)}  {table}" if state.plan else "-"),
            ("Outputs", human(sum(a.bytes for a in state.artifacts)) if state.artifacts else "-"),
            ("Moved", human(state.history.total)),
            ("Now", f"{human(rate)}/s" if rate is not None else "-"),
            ("Peak", f"{human(state.history.peak())}/s" if state.history.total else "-"),
        ]

    def paint(self) -> Content:
        """Draws figures and graph as the room allows."""
        width, height = self.size.width, self.size.height
        if width <= 0 or height <= 0:
            return Content("")
        if height < 4:
            words = (
                f"{human(self.state.disk_bytes)} disk, {human(self.state.history.total)} moved, "
                f"peak {human(self.state.history.peak())}/s  "
            )
            graph = self._graph(max(width - len(words), 0), 1)
            return Content.assemble((cut(words, width), "$muted"), (graph[0], "$accent"))
        lines = [
            Content.assemble((pad(name, _LABEL), "$muted"), cut(value, width - _LABEL))
            for name, value in self.pairs()
        ]
        rows = min(height - len(lines) - 1, 3)
        if rows > 0:
            lines.append(Content(""))
            lines += [Content.styled(row, "$accent") for row in self._graph(width, rows)]
        return Content("\n").join(lines)

    def _graph(self, width: int, rows: int) -> list[str]:
        """Returns the rates as columns, the last one at the right end of what has passed."""
        rates = self.state.history.rates(width)
        busy = sorted(rate for rate in rates if rate)
        # One leap over a hole would flatten all the rest; its figure is told as the peak.
        peak = min(busy[-1], 3 * busy[len(busy) // 2]) if busy else 0
        steps = len(self.bars) - 1
        lines = []
        for row in range(rows - 1, -1, -1):
            line = ""
            for rate in rates:
                height = -(-rate * rows * steps // peak) if peak else 0
                line += self.bars[min(max(height - row * steps, 0), steps)]
            lines.append(pad(line, width))
        return lines

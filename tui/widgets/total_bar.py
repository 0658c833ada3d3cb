"""The progress of a whole build in one row."""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content

from tui.glyphs import UNICODE, Glyphs
from tui.progress import WHOLE, BuildState, clock
from tui.widgets.painting import Painting


class TotalBar(Painting):
    """A bar, the share done, elapsed, and what is left once that can be told."""

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self.state = BuildState()
        self.elapsed = 0.0

    def show(self, state: BuildState, elapsed: float) -> None:
        """Draws a state of the build."""
        self.state, self.elapsed = state, elapsed
        self.repaint()

    def paint(self) -> Content:
        """Draws the bar."""
        state, share = self.state, self.state.share()
        words = [f"{share * 100 // WHOLE:3} %", f"{clock(self.elapsed)} elapsed"]
        left = state.left(self.elapsed)
        if left is not None:
            words.append(f"{clock(left)} left")
        text = "  ".join(words)
        if state.status == "running":
            text = text.rjust(32)  # the bar does not jump when the time left appears
        width = max(self.size.width - cell_len(text) - 2, 4)
        filled = share * width // WHOLE
        style = {"failed": "$state-error", "cancelled": "$state-warning", "ok": "$state-done"}
        return Content.assemble(
            (self.glyphs.used * filled, style.get(state.status, "$accent")),
            (self.glyphs.free * (width - filled), "$faint"),
            "  ",
            (text, "bold"),
        )

"""A widget that is told often what to show and redraws only when that looks otherwise."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget


class Painting(Widget):
    """Draws what `paint` returns; over a slow line every redrawn row counts."""

    _painted = Content("")

    def paint(self) -> Content:
        """Returns what there is to see; subclasses say it."""
        raise NotImplementedError

    def render(self) -> Content:
        self._painted = self.paint()
        return self._painted

    def repaint(self) -> None:
        """Draws anew if that would change anything."""
        if not self.paint().is_same(self._painted):
            self.refresh()

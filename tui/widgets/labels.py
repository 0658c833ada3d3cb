"""Text that is data: never read as markup."""

from __future__ import annotations

from textual import events
from textual.content import Content
from textual.widgets import Static


class Plain(Static):
    """A static text without markup."""

    def __init__(
        self,
        text: str | Content = "",
        *,
        classes: str | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(text, markup=False, classes=classes, id=id)
        self._text = Content(text) if isinstance(text, str) else text

    def show(self, text: str | Content) -> None:
        """Replaces the text; lays the screen out anew only where the height may change."""
        old, new = self._text, Content(text) if isinstance(text, str) else text
        if old.is_same(new) and self.is_mounted:
            return
        self._text = new
        self.update(new, layout=self._height(old) != self._height(new))

    def _height(self, text: Content) -> int:
        """Returns the rows a text takes; -1 where that cannot be known yet."""
        width = self.content_size.width
        return text.get_height({}, width) if text and width > 0 else -1


class Toggle(Plain):
    """A word that a click acts on, for what the keyboard has a key for."""

    def __init__(self, text: str, action: str, *, id: str | None = None) -> None:
        super().__init__(f"[{text}]", classes="toggle", id=id)
        self._action = action

    async def on_click(self, event: events.Click) -> None:
        event.stop()
        await self.screen.run_action(self._action)

"""Text that is data: never read as markup."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static


class Plain(Static):
    """A static text without markup."""

    def __init__(
        self,
        text: str | Content = "",
        *,
        classes: str | None = None,
        id: str | None = None,  # noqa: A002 - Textual's name
    ) -> None:
        super().__init__(text, markup=False, classes=classes, id=id)
        self._text = Content(text) if isinstance(text, str) else text

    def show(self, text: str | Content) -> None:
        """Replaces the text; lays the screen out anew only where the height may change."""
        old, new = self._text, Content(text) if isinstance(text, str) else text
        if old.is_same(new) and self.is_mounted:
            return
        self._text = new
        self.update(new, layout=not (self._is_line(old) and self._is_line(new)))

    def _is_line(self, text: Content) -> bool:
        return bool(text) and text.cell_length <= self.size.width and "\n" not in text.plain

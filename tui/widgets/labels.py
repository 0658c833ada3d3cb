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

    def show(self, text: str | Content) -> None:
        """Replaces the text."""
        self.update(text)

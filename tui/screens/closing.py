"""Screens that close once: a second key that was typed ahead must not close the one below."""

from __future__ import annotations

from typing import Generic, TypeVar

from textual import events, screen
from textual.await_complete import AwaitComplete
from textual.widgets import Button

Result = TypeVar("Result")


class Page(screen.Screen[Result], Generic[Result]):
    """A screen of its own."""

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Closes this screen and what lies on it, unless it is closed already."""
        return super().dismiss(result) if _on_top(self) else AwaitComplete()


class Dialog(screen.ModalScreen[Result], Generic[Result]):
    """A screen that lies on another; arrows go from button to button, as Tab does."""

    def on_key(self, event: events.Key) -> None:
        """Moves the focus between buttons."""
        if event.key in {"left", "right"} and isinstance(self.focused, Button):
            event.stop()
            (self.focus_next if event.key == "right" else self.focus_previous)(Button)

    def dismiss(self, result: Result | None = None) -> AwaitComplete:
        """Closes this dialog and what lies on it, unless it is closed already."""
        return super().dismiss(result) if _on_top(self) else AwaitComplete()


def _on_top(screen: screen.Screen[Result]) -> bool:
    """Closes what lies on a screen; whether the screen is there."""
    if screen not in screen.app.screen_stack:
        return False
    while screen.app.screen is not screen:
        screen.app.pop_screen()
    return True

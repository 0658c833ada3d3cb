"""Inputs whose text cannot harm the terminal, however it came in."""

from __future__ import annotations

from textual import events
from textual.geometry import Size
from textual.reactive import Reactive
from textual.widgets import Input

from tui.text import visible


class SafeInput(Input):
    """A one-row input; what is not printable (pasted, or from a file) shows as an escape."""

    # Textual lays the whole screen out again for every letter; the row stays where it is.
    virtual_size: Reactive[Size] = Reactive(Size(0, 0))

    async def _on_key(self, event: events.Key) -> None:
        """Leaves a letter or digit with Alt to the bindings; Textual would write it.

        Tab takes what is suggested, as in a shell; where nothing is, it goes on to the next field.
        """
        if event.key.startswith("alt+"):
            event.prevent_default()
        elif event.key == "tab" and self._completes:
            self.action_cursor_right()
            event.stop()
            event.prevent_default()

    @property
    def _completes(self) -> bool:
        """Whether there is a suggestion that the cursor stands before."""
        at_end = self.cursor_position == len(self.value)
        return self.suggester is not None and at_end and len(self._suggestion) > len(self.value)

    def validate_value(self, value: str) -> str:
        """Makes the value safe before it is drawn."""
        return visible(value)

    def watch_value(self, value: str) -> None:
        self._show_beginning()

    def on_resize(self) -> None:
        self._show_beginning()

    def on_blur(self) -> None:
        self.scroll_to(0, animate=False, immediate=True, force=True)

    def _show_beginning(self) -> None:
        if not self.has_focus:
            self.scroll_to(0, animate=False, immediate=True, force=True)

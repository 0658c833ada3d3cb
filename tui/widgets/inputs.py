"""Inputs whose text cannot harm the terminal, however it came in."""

from __future__ import annotations

from textual.geometry import Size
from textual.reactive import Reactive
from textual.widgets import Input

from tui.text import visible


class SafeInput(Input):
    """A one-row input; what is not printable (pasted, or from a file) shows as an escape."""

    # Textual lays the whole screen out again for every letter; the row stays where it is.
    virtual_size: Reactive[Size] = Reactive(Size(0, 0))

    def validate_value(self, value: str) -> str:
        """Makes the value safe before it is drawn."""
        return visible(value)

"""Inputs whose text cannot harm the terminal, however it came in."""

from __future__ import annotations

from textual.widgets import Input

from tui.text import visible


class SafeInput(Input):
    """A one-row input; what is not printable (pasted, or from a file) shows as an escape."""

    def validate_value(self, value: str) -> str:
        """Makes the value safe before it is drawn."""
        return visible(value)

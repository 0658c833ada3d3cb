"""Jump: a letter on everything that can be focused; the letter goes there."""

from __future__ import annotations

from string import ascii_lowercase
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.widget import Widget

from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.widgets.labels import Plain


class JumpScreen(Dialog[Widget | None]):
    """Returns the widget whose letter was pressed, or None."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("jump")

    def __init__(self, targets: list[Widget]) -> None:
        super().__init__()
        self.targets = dict(zip(ascii_lowercase, targets, strict=False))

    def compose(self) -> ComposeResult:
        for letter, target in self.targets.items():
            label = Plain(f" {letter} ", classes="jump-letter")
            label.styles.offset = target.region.offset
            yield label

    def on_key(self, event: events.Key) -> None:
        target = self.targets.get(event.key)
        if target is not None:
            event.stop()
            self.dismiss(target)

    def on_click(self) -> None:
        self.dismiss(None)

    def action_close(self) -> None:
        """Goes nowhere."""
        self.dismiss(None)


def targets_of(focus_chain: list[Widget]) -> list[Widget]:
    """Returns those widgets of a focus chain that are in sight."""
    return [w for w in focus_chain if w.screen.region.contains_region(w.region)]

"""What to add to the disk."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.keys import bindings
from tui.screens.closing import Dialog
from tui.text import pad
from tui.volumes import Kind
from tui.widgets.labels import Plain

_TITLE = 16


class KindScreen(Dialog[Kind | None]):
    """Returns what was chosen, or None."""

    HELP = """
# Add a volume

Each line is a starting point; the next form shows its values, all of which can be changed. New
volumes come last on the disk: Shift+Up moves them.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("dialog")

    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        super().__init__()
        self.kinds = kinds

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog problems"):
            yield Plain("Add a volume", classes="dialog-title")
            yield OptionList(
                *(
                    Option(Content.assemble((pad(kind.title, _TITLE), "bold"), kind.summary))
                    for kind in self.kinds
                ),
                markup=False,
                compact=True,
            )
            yield Plain("Enter takes it, Esc closes", classes="field-note")

    def on_mount(self) -> None:
        listed = self.query_one(OptionList)
        listed.highlighted = 0 if self.kinds else None
        listed.focus()

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self.kinds[event.option_index])

    def action_close(self) -> None:
        """Adds nothing."""
        self.dismiss(None)

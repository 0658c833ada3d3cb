"""What stands beside the preview of the design screen: the form, the table, or the spec as text."""

from __future__ import annotations

from collections.abc import Callable

from textual.screen import Screen

from tui.designing import DesignSession
from tui.widgets.labels import Plain
from tui.widgets.partition_table import PartitionTable
from tui.widgets.spec_view import SpecView

ROOM_FOR_SPEC = 160
"""Columns from which the spec stands beside the form."""

_TABLE, _SPEC = "-full", "-spec"
_BROAD = "-broad"
"""Class of a screen with room for the spec beside the form, along with "-wide"."""


class Sight:
    """Switches between form, table and spec by classes of the screen, for the style sheet."""

    def __init__(
        self, screen: Screen[None], design: DesignSession, enter_form: Callable[[], None]
    ) -> None:
        """Prepares it.

        Args:
            screen: The design screen.
            design: What the spec view lists.
            enter_form: Gives the form the focus.
        """
        self._screen, self._design, self._enter_form = screen, design, enter_form

    @property
    def is_form(self) -> bool:
        """Whether neither table nor spec is in the place of the form."""
        return not (self._screen.has_class(_TABLE) or self._screen.has_class(_SPEC))

    def show_form(self) -> None:
        """Shows the form and gives it the focus."""
        self._switch("")
        self._enter_form()

    def toggle_table(self) -> None:
        """Shows table and sizes in the place of the form, or the form again."""
        if self._screen.has_class(_TABLE):
            self.show_form()
            return
        self._switch(_TABLE)
        self._screen.query_one(PartitionTable).focus()

    def toggle_spec(self) -> None:
        """Shows the spec in the place of the form, or the form again."""
        spec = self._screen.query_one(SpecView)
        if self._screen.has_class(_SPEC) or spec.has_focus:
            self.show_form()
            return
        self._switch(_SPEC)
        spec.focus()
        self.list_spec()
        self._screen.call_after_refresh(spec.go_to_edit)

    def fit(self, columns: int) -> None:
        """Shows the spec beside the form where there is room for both."""
        self._screen.set_class(columns >= ROOM_FOR_SPEC, _BROAD)
        self._screen.call_after_refresh(self.list_spec)

    def list_spec(self) -> None:
        """Lists the spec where it can be seen."""
        if self._screen.has_class(_SPEC) or self._screen.has_class(_BROAD):
            self._screen.query_one(SpecView).follow(self._design)

    def _switch(self, name: str) -> None:
        for one in (_TABLE, _SPEC):
            self._screen.set_class(one == name, one)
        switch = self._screen.query_one("#table-switch", Plain)
        switch.show("[form]" if name == _TABLE else "[table]")

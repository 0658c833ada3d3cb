"""Keys and pastes that come while a form is made: they are for it, not for the one before."""

from __future__ import annotations

from textual.events import Event


class HeldKeys:
    """Holds what is typed while the widget that is to have the focus is not there yet."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._holders = 0

    def hold(self) -> None:
        """Holds from now on, until `release` is called as often."""
        self._holders += 1

    def takes(self, event: Event) -> bool:
        """Whether an event is kept for later."""
        if self._holders:
            self._events.append(event)
        return bool(self._holders)

    def release(self) -> list[Event]:
        """Ends one hold; returns what was typed, in order, if it was the last."""
        self._holders -= 1
        if self._holders:
            return []
        typed, self._events = self._events, []
        return typed

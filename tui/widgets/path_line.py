"""The line that takes a dropped path: what is pasted into it is opened at once."""

from __future__ import annotations

from pathlib import Path

from textual import events
from textual.message import Message

from tui.typed import dropped
from tui.widgets.inputs import SafeInput
from tui.widgets.suggest import PathSuggester


class PathLine(SafeInput):
    """Takes paths typed, pasted, or dropped onto the terminal."""

    class Given(Message):
        """Paths were given; they may name nothing."""

        def __init__(self, paths: tuple[Path, ...]) -> None:
            super().__init__()
            self.paths = paths

    def __init__(self, base: Path, *, id: str | None = None) -> None:
        super().__init__(
            placeholder="Drop a folder, archive, spec or image here, or type its path",
            compact=True,
            select_on_focus=False,
            suggester=PathSuggester(base),
            id=id,
        )
        self.base = base

    def give(self, text: str) -> None:
        """Says which paths a text names, if it has any."""
        paths = dropped(self.base, text)
        if paths:
            self.post_message(self.Given(paths))

    def _on_paste(self, event: events.Paste) -> None:
        """Opens what is pasted into the empty line; elsewhere it is text as any other."""
        if not self.value and event.text.strip():
            event.prevent_default()
            event.stop()
            self.value = " ".join(event.text.split("\n")).strip()
            self.cursor_position = len(self.value)
            self.give(event.text)

    async def action_submit(self) -> None:
        """Opens what is typed."""
        self.give(self.value)

"""The command palette: every action of the current screen, with its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.binding import ActiveBinding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.keys import KEYS

Command = tuple[str, Callable[[], object]]


class WizardCommands(Provider):
    """Lists the palette's actions with the key of each."""

    def _commands(self) -> Iterator[Command]:
        active: dict[str | None, ActiveBinding] = {}
        for bound in self.screen.active_bindings.values():
            active.setdefault(bound.binding.id, bound)
        for key in KEYS:
            entry = active.get(key.id)
            if entry is None or not key.palette or not entry.enabled:
                continue
            shown = self.app.get_key_display(entry.binding)
            run = partial(self.app.run_action, key.action, entry.node)
            yield f"{key.tooltip}  ({shown})", run

    async def discover(self) -> Hits:
        """Lists everything."""
        for title, run in self._commands():
            yield DiscoveryHit(title, run)

    async def search(self, query: str) -> Hits:
        """Lists what matches."""
        matcher = self.matcher(query)
        for title, run in self._commands():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run)

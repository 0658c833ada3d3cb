"""The command palette: every action of the current screen, and every step and preset."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.keys import KEYS

Command = tuple[str, str, Callable[[], object]]


class WizardCommands(Provider):
    """Lists the palette's actions with the key of each."""

    def _commands(self) -> Iterator[Command]:
        active = {
            entry.binding.id: (entry.node, entry.binding, entry.enabled)
            for entry in self.screen.active_bindings.values()
        }
        for key in KEYS:
            if not key.palette or key.id not in active:
                continue
            node, binding, enabled = active[key.id]
            if not enabled:
                continue
            shown = self.app.get_key_display(binding)
            run = partial(self.app.run_action, key.action, node)
            yield f"{key.tooltip.partition(';')[0]}  ({shown})", key.tooltip, run

    async def discover(self) -> Hits:
        """Lists everything."""
        for title, what, run in self._commands():
            yield DiscoveryHit(title, run, help=what)

    async def search(self, query: str) -> Hits:
        """Lists what matches."""
        matcher = self.matcher(query)
        for title, what, run in self._commands():
            score = max(matcher.match(title), matcher.match(what))
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=what)

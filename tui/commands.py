"""The command palette: every action of the current screen with its key, and what has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from textual.app import App, SystemCommand
from textual.binding import ActiveBinding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.keys import KEYS
from tui.screens.messages import ComparisonRequested, FlashRequested, ImageRequested

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


def without_keys(app: App[int], toggle_motion: Callable[[], None]) -> Iterator[SystemCommand]:
    """Yields the commands that have no key of their own.

    Args:
        app: The wizard.
        toggle_motion: Switches the movement of the map on or off.
    """
    yield SystemCommand("Theme", "Choose the colours", app.action_change_theme)
    moving = app.animation_level != "none"
    yield SystemCommand(
        "Motion off" if moving else "Motion on",
        "Whether the map moves from one plan to the next",
        toggle_motion,
    )
    yield SystemCommand(
        "Look into an image",
        "Partitions, file systems and files, without mounting",
        lambda: app.post_message(ImageRequested()),
    )
    yield SystemCommand(
        "Write an image to a disk",
        "To a stick, a card or a disk, read back while it is written",
        lambda: app.post_message(FlashRequested()),
    )
    yield SystemCommand(
        "Compare two images",
        "Every field, file and byte in which they differ",
        lambda: app.post_message(ComparisonRequested()),
    )

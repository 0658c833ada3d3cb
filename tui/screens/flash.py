"""An image to a disk: which disks there are, how far it is, and the verdict."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.content import Content

from engine.flash.machine import Machine
from engine.image.container import BadImage
from engine.units import human
from tui.flashing import Flashing, Offer, Offers
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.closing import Page
from tui.screens.dialogs import AskScreen, ConfirmScreen
from tui.text import reason, visible
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.labels import Plain
from tui.widgets.row_table import RowTable

_TOLD_EVERY = 0.1
"""Seconds between two looks at how far it is."""
_BAR = 24
_NONE = (
    "There is no disk to write to. The one that this system runs from is not offered. Plug one in, "
    "and press R to look again."
)


class FlashScreen(Page[None]):
    """Lists the disks of the machine, and writes an image to one."""

    HELP = """
# Write to a disk

Brings the image to a stick, a card or a disk, and reads it back while it does.

- Removable disks come first. The disk that this system runs from is not offered, and one that is
  in use or too small is not written.
- **Enter** asks for the disk's name, then writes. Progress counts what is on the disk itself and
  was read back, not what waits in memory.
- **R** looks for disks again, **C** copies the command that does the same in a terminal: writing
  to a disk usually needs root, which the wizard does not.
- **Escape** stops it. A disk on which it was stopped has no partition table.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("flash")

    def __init__(
        self, image: Path, glyphs: Glyphs = UNICODE, *, machine: Machine | None = None
    ) -> None:
        super().__init__()
        self.image = image
        self.glyphs = glyphs
        self.flashing = Flashing(image, machine or Machine())
        self.doing = ""

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        with Vertical(id="flash-body"):
            yield Plain("Looking at the image", id="flash-state")
            yield RowTable(self.glyphs, id="flash-table")
            yield Plain("", id="flash-disk")
            yield Plain("", id="flash-command")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.query_one(TitleBar).file = f"Write {self.image.name} to a disk"
        self.query_one(RowTable).focus()
        self.set_interval(_TOLD_EVERY, self._tell)
        self._look()

    def on_unmount(self) -> None:
        self.flashing.stopped = True

    @property
    def is_writing(self) -> bool:
        """Whether a disk is being written now."""
        return self.doing == "Written and read back"

    @work(exclusive=True, group="flash")
    async def _look(self) -> None:
        self._begin("Looking at the image")
        try:
            await asyncio.to_thread(self.flashing.look)
        except InterruptedError:
            return
        except (BadImage, OSError) as error:
            self._begin("")
            self._say(f"{self.glyphs.error} {reason(error)}", "$state-error")
            return
        self._begin("")
        payload = self.flashing.payload
        assert payload is not None
        self.query_one(TitleBar).figure = human(payload.size)
        offers = self.flashing.offers
        self.query_one(RowTable).show(Offers(offers))
        self._say("Choose the disk. All that is on it will be lost." if offers else _NONE)
        self.refresh_bindings()

    @property
    def _offer(self) -> Offer | None:
        offers = self.flashing.offers
        row = self.query_one(RowTable).cursor
        return offers[row] if row < len(offers) else None

    @on(RowTable.Moved)
    def _moved(self) -> None:
        offer = self._offer
        problems = () if offer is None else offer.problems
        lines = [f"{self.glyphs.warning} {problem.line()}" for problem in problems]
        self.query_one("#flash-disk", Plain).show(visible_lines(lines))
        command = f"By hand: {offer.command}" if offer is not None and offer.command else ""
        self.query_one("#flash-command", Plain).show(visible(command))
        self.refresh_bindings()

    # ------------------------------------------------------------------ writing

    @work(exclusive=True, group="flash")
    async def action_write(self) -> None:
        """Asks for the disk's name, then writes the image to it."""
        offer = self._offer
        if offer is None or offer.job is None or self.doing:
            return
        destination = offer.job.destination
        question = AskScreen(
            f"Write {visible(self.image.name)} to {visible(destination.title)}?",
            f'All that is on it will be lost. Type "{destination.name}" to go on:',
            button="Write",
        )
        if await self.app.push_screen_wait(question) != destination.name:
            self._say("Nothing was written: the disk was not named.", "$state-warning")
            return
        self._begin("Written and read back")
        outcome = await asyncio.to_thread(self.flashing.write, offer.job)
        self._begin("")
        good = outcome.status == "ok"
        mark = self.glyphs.done if good else self.glyphs.error
        words = f"{mark} {self.flashing.words(destination)}"
        self._say(words, "bold $state-done" if good else "bold $state-error")
        self.app.bell()
        self.refresh_bindings()

    def _begin(self, doing: str) -> None:
        self.doing = doing
        self.flashing.done = self.flashing.total = 0
        self._tell()
        self.refresh_bindings()

    def _tell(self) -> None:
        if not self.doing:
            return
        done, total = self.flashing.done, self.flashing.total
        if not total:
            self._say(f"{self.doing}: {human(done)}" if done else self.doing)
            return
        filled = done * _BAR // total
        bar = self.glyphs.used * filled + self.glyphs.free * (_BAR - filled)
        amounts = f"{done * 100 // total:3d} %  {human(done)} of {human(total)}"
        ending = ", stopping" if self.flashing.stopped else ""
        self._say(f"{bar}  {amounts}\n{self.doing}{ending}")

    def _say(self, text: str, style: str = "") -> None:
        lines = visible_lines(text.split("\n"))
        self.query_one("#flash-state", Plain).show(Content.styled(lines, style))

    # ------------------------------------------------------------------ other keys

    def action_again(self) -> None:
        """Looks for disks once more."""
        if not self.doing:
            self._look()

    def action_copy(self) -> None:
        """Copies the command that does the same."""
        offer = self._offer
        if offer is not None and offer.command:
            image, disk = shlex.quote(str(self.image)), f"/dev/{offer.device.path.name}"
            command = f"sudo diskwright flash {image} {disk}"
            needs = any(problem.code == "flash-rights" for problem in offer.problems)
            self.app.copy_to_clipboard(command if needs else offer.command)
            self._say("Copied.")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        offer = self._offer if self.is_mounted else None
        if action == "write":
            return not self.doing and offer is not None and offer.job is not None
        if action == "again":
            return not self.doing
        if action == "copy":
            return not self.doing and offer is not None and bool(offer.command)
        return super().check_action(action, parameters)

    @work(group="dialog", exclusive=True)
    async def action_back(self) -> None:
        """Stops what is going on, or goes back."""
        if self.is_writing:
            question = ConfirmScreen(
                "Stop writing?",
                "The disk is then incomplete and has no partition table.",
                (("no", "Keep writing"), ("yes", "Stop")),
            )
            if await self.app.push_screen_wait(question) == "yes":
                self.flashing.stopped = True
            return
        self.flashing.stopped = True
        self.dismiss(None)


def visible_lines(lines: list[str]) -> str:
    """Returns lines of safe text."""
    return "\n".join(visible(line) for line in lines)

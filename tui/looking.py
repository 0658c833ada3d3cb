"""The part of the application that looks into images, compares them and imports."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from textual import on, work
from textual.app import App

from engine.flash.machine import Machine
from engine.problem import Refused
from tui.glyphs import UNICODE, Glyphs
from tui.opening import import_document
from tui.screens.compare import CompareScreen
from tui.screens.dialogs import ConfirmScreen
from tui.screens.flash import FlashScreen
from tui.screens.image import ImageScreen
from tui.screens.importing import ImportScreen
from tui.screens.messages import (
    ComparisonRequested,
    DocumentChosen,
    FlashRequested,
    ImageRequested,
    ImportRequested,
)
from tui.screens.paths import PathScreen


class LookingApp(App[int]):
    """Asks which images, and shows them above whatever is there."""

    glyphs: Glyphs = UNICODE
    machine = Machine()
    """Whose disks are offered; another one in tests and pictures."""

    @on(ImageRequested)
    @work(group="looking", exclusive=True)
    async def image_requested(self, message: ImageRequested) -> None:
        """Shows an image; asks which one where the message names none."""
        path = message.path or await self._ask("Look into an image")
        if path is not None:
            await self.push_screen(ImageScreen(path, self.glyphs))

    @on(FlashRequested)
    @work(group="looking", exclusive=True)
    async def flash_requested(self, message: FlashRequested) -> None:
        """Shows the disks that an image could go to; asks which image where none is named."""
        path = message.path or await self._ask("Write an image to a disk")
        if path is not None:
            await self.push_screen(FlashScreen(path, self.glyphs, machine=self.machine))

    @property
    def is_flashing(self) -> bool:
        """Whether a disk is being written now."""
        screens = (screen for stack in self._screen_stacks.values() for screen in stack)
        return any(isinstance(one, FlashScreen) and one.is_writing for one in screens)

    @on(ImportRequested)
    @work(group="looking", exclusive=True)
    async def import_requested(self, message: ImportRequested) -> None:
        """Makes a spec of another tool's file, once it is told what does not come along."""
        subject = message.subject
        try:
            found = await asyncio.to_thread(import_document, subject.path, os.environ)
        except Refused as refused:
            title = f"{subject.path.name} cannot be imported"
            text = "\n".join(problem.line() for problem in refused.problems)
            await self.push_screen_wait(ConfirmScreen(title, text, (("back", "Back"),)))
            return
        if await self.push_screen_wait(ImportScreen(subject, found, self.glyphs)):
            self.post_message(DocumentChosen(found.document, asks=True))

    @on(ComparisonRequested)
    @work(group="looking", exclusive=True)
    async def comparison_requested(self) -> None:
        """Asks for two images and compares them."""
        first = await self._ask("Compare two images: the first")
        second = await self._ask("Compare two images: the second") if first else None
        if first is not None and second is not None:
            await self.push_screen(CompareScreen(first, second, self.glyphs))

    async def _ask(self, title: str) -> Path | None:
        text = "Its path, from the current folder; Right completes it:"
        return await self.push_screen_wait(PathScreen(title, text, base=Path.cwd()))

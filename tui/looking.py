"""Asks which images or files, and shows them above whatever is there.

Each must run in a worker of the app, for it waits for answers.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from textual.app import App

from engine.flash.machine import Machine
from engine.problem import Refused
from tui.glyphs import Glyphs
from tui.opening import Importable, import_document
from tui.screens.compare import CompareScreen
from tui.screens.dialogs import ConfirmScreen
from tui.screens.flash import FlashScreen
from tui.screens.image import ImageScreen
from tui.screens.importing import ImportScreen
from tui.screens.messages import DocumentChosen
from tui.screens.paths import PathScreen


async def look_into(app: App[int], glyphs: Glyphs, path: Path | None) -> None:
    """Shows an image; asks which one where none is named."""
    path = path or await _ask(app, "Look into an image")
    if path is not None:
        await app.push_screen(ImageScreen(path, glyphs))


async def write_to_disk(app: App[int], glyphs: Glyphs, path: Path | None, machine: Machine) -> None:
    """Shows the disks that an image could go to; asks which image where none is named."""
    path = path or await _ask(app, "Write an image to a disk")
    if path is not None:
        await app.push_screen(FlashScreen(path, glyphs, machine=machine))


def is_flashing(app: App[int]) -> bool:
    """Returns whether a disk is being written now."""
    screens = (screen for stack in app._screen_stacks.values() for screen in stack)
    return any(isinstance(one, FlashScreen) and one.is_writing for one in screens)


async def import_subject(app: App[int], glyphs: Glyphs, subject: Importable) -> None:
    """Makes a spec of another tool's file, once it is told what does not come along."""
    try:
        found = await asyncio.to_thread(import_document, subject.path, os.environ)
    except Refused as refused:
        title = f"{subject.path.name} cannot be imported"
        text = "\n".join(problem.line() for problem in refused.problems)
        await app.push_screen_wait(ConfirmScreen(title, text, (("back", "Back"),)))
        return
    if await app.push_screen_wait(ImportScreen(subject, found, glyphs)):
        app.post_message(DocumentChosen(found.document, asks=True))


async def compare_two(app: App[int], glyphs: Glyphs) -> None:
    """Asks for two images and compares them."""
    first = await _ask(app, "Compare two images: the first")
    second = await _ask(app, "Compare two images: the second") if first else None
    if first is not None and second is not None:
        await app.push_screen(CompareScreen(first, second, glyphs))


async def _ask(app: App[int], title: str) -> Path | None:
    text = "Its path, from the current folder; Right completes it:"
    return await app.push_screen_wait(PathScreen(title, text, base=Path.cwd()))

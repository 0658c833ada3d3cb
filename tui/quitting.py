"""What is asked before the wizard ends: of builds, a disk being written, unsaved work."""

from __future__ import annotations

from textual.app import App

from engine.cli import exits
from tui.building import Builds
from tui.documents import Documents
from tui.looking import is_flashing
from tui.screens.dialogs import ConfirmScreen
from tui.screens.fleet import GROUP


async def ask_to_quit(app: App[int], builds: Builds, documents: Documents) -> int | None:
    """Returns the exit status, or None where the person stays. Must run in a worker."""
    fleets = any(one.group == GROUP and one.is_running for one in app.workers)
    building = builds.is_running or fleets
    if building:
        question = ConfirmScreen(
            "A build is running",
            "Quitting cancels it; nothing partial is left behind.",
            (("stay", "Keep building"), ("quit", "Cancel and quit")),
        )
        if await app.push_screen_wait(question) != "quit":
            return None
    if is_flashing(app):
        question = ConfirmScreen(
            "A disk is being written",
            "Quitting stops it; the disk is then incomplete and has no partition table.",
            (("stay", "Keep writing"), ("quit", "Stop and quit")),
        )
        if await app.push_screen_wait(question) != "quit":
            return None
    if not await documents.is_safe("Quit?"):
        return None
    return exits.CANCELLED if building else 0

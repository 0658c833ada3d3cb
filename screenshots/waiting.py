"""Waiting until a page stands still."""

from __future__ import annotations

from textual.pilot import Pilot
from textual.widgets import Input

PATIENCE = 200
"""Seconds to wait for a page: far above what any machine needs."""


async def quiet(pilot: Pilot[int]) -> None:
    """Waits until nothing is left to draw, and stops what blinks."""
    for _ in range(3):
        await pilot.pause()
    for field in pilot.app.screen.query(Input):
        field.cursor_blink = False
    await pilot.pause()

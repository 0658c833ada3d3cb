"""The page of a fleet, of twelve machines, as a run has got halfway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from textual.pilot import Pilot

from engine.events import BuildStarted, Progress, StepFinished, StepStarted
from engine.fleet.events import FleetEvent, FleetStarted, RowFinished, RowOutline, RowStarted, Said
from engine.units import GIB, MIB
from screenshots.waiting import PATIENCE, quiet
from tui.app import DiskwrightApp
from tui.fleets import FleetSession
from tui.screens.fleet import FleetScreen
from tui.widgets.row_table import RowTable

_STEPS = (
    {"id": "make-root", "title": "Make the root file system", "bytes": 0},
    {"id": "populate-root", "title": "Fill the root file system", "bytes": 900 * MIB},
    {"id": "check-root", "title": "Check the root file system", "bytes": 100 * MIB},
)
_ROWS = tuple(f"kiosk-{number:04}" for number in range(1, 13))
_BYTES = 2 * GIB


def said() -> Iterator[FleetEvent]:
    """Yields what a run of two workers says until it is in the middle of two rows."""
    unchanged, made, failed, running = _ROWS[:3], _ROWS[3:6], _ROWS[6], _ROWS[7:9]
    yield FleetStarted(
        fleet="kiosks.toml",
        workers=2,
        rows=tuple(
            RowOutline(
                image=name, bytes=_BYTES, state="unchanged" if name in unchanged else "waiting"
            )
            for name in _ROWS
        ),
    )
    for number, name in enumerate(made):
        begun = 0.4 + 1.5 * number
        yield from _begun(name, begun, str(number % 2))
        yield RowFinished(
            time=begun + 2.1, image=name, state="ok", seconds=2.1 + number / 10,
            worker=str(number % 2), reused=870 * MIB if number else 0,
        )  # fmt: skip
    yield from _begun(failed, 3.2, "1")
    yield RowFinished(
        time=4.4, image=failed, state="failed", seconds=1.2, worker="1", step="populate-root",
        message="per-kiosk/0007/wifi.conf changed after it was scanned",
        hint="leave the sources alone while a build reads them",
    )  # fmt: skip
    for number, (name, done) in enumerate(zip(running, (610 * MIB, 240 * MIB), strict=True)):
        begun = 4.5 + number
        yield from _begun(name, begun, str(number))
        yield Said(name, StepFinished(time=begun + 0.2, id="make-root", status="ok", seconds=0.2))
        title = str(_STEPS[1]["title"])
        yield Said(name, StepStarted(time=begun + 0.2, id="populate-root", title=title))
        yield Said(name, Progress(time=begun + 1.2, id="populate-root", done=done, total=900 * MIB))


def _begun(name: str, time: float, worker: str) -> Iterator[FleetEvent]:
    yield RowStarted(time=time, image=name, worker=worker)
    plan = {"name": name, "disk": {"bytes": _BYTES}, "steps": list(_STEPS)}
    yield Said(name, BuildStarted(time=time, plan=plan))
    title = str(_STEPS[0]["title"])
    yield Said(name, StepStarted(time=time, id="make-root", title=title))


async def fleet_tour(app: DiskwrightApp, pilot: Pilot[int]) -> AsyncIterator[str]:
    """Shows the page, with the cursor on the row that failed."""
    session = FleetSession(Path("kiosks.toml"), None, events=said(), pace=0)
    screen = FleetScreen(session, app.glyphs)
    await app.push_screen(screen)
    async with asyncio.timeout(PATIENCE):
        while not all(session.rows.get(name) and session.rows[name].rate for name in _ROWS[7:9]):
            await pilot.pause(0.02)
    await pilot.press(*["down"] * 6)
    async with asyncio.timeout(PATIENCE):
        while screen.query_one(RowTable).cursor != 6:
            await pilot.pause(0.02)
    await quiet(pilot)
    yield "fleet"
    await pilot.press("escape")
    await quiet(pilot)

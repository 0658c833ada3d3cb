"""The page of a fleet: planned, built, filtered, tried again, looked into, and replayed.

`python -m tests.tui.test_fleet` records its pages anew.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.events import BuildStarted, Log, Progress, StepFinished, StepStarted
from engine.fleet import cluster
from engine.fleet.events import (
    FleetEvent,
    FleetStarted,
    RowFinished,
    RowOutline,
    RowStarted,
    Said,
    State,
)
from tests.tui.conftest import ENVIRONMENT, MakeApp, eventually, shown_on
from tui.app import DiskwrightApp
from tui.config import Config
from tui.fleets import FleetSession, RowState
from tui.opening import Fleet
from tui.screens.build import BuildScreen
from tui.screens.fleet import FleetScreen
from tui.screens.start import StartScreen
from tui.session import Session

PAGES = Path(__file__).parent / "fleet_pages"
SIZES = [(120, 40), (80, 24)]
BASE = """schema = 1
[layout]
table = "none"
[size]
additional = "8MiB"
[[contents]]
source = "rootfs/"
target = "/"
"""
FLEET = """base = "base.toml"
name = "node-{serial}"
[[row]]
serial = "1"
[[row]]
serial = "2"
[[row.contents]]
source = "own/"
target = "/"
"""


async def test_planning_ends_when_nobody_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, told = threading.Event(), threading.Event()

    def waits(*_given: object, cancelled: Callable[[], bool], **_more: object) -> None:
        begun.set()
        while not cancelled():
            time.sleep(0.005)
        told.set()

    monkeypatch.setattr("tui.fleets.prepare", waits)
    monkeypatch.setattr("tui.fleets.read_fleet", lambda path: path)
    planning = asyncio.create_task(FleetSession(tmp_path / "fleet.toml", tmp_path).plan())
    await asyncio.to_thread(begun.wait)

    planning.cancel()

    with pytest.raises(asyncio.CancelledError):
        await planning
    assert await asyncio.to_thread(told.wait, 60)


@pytest.fixture
def fleet(home: Path) -> Path:
    (home / "base.toml").write_text(BASE)
    (home / "own").mkdir()
    path = home / "fleet.toml"
    path.write_text(FLEET)
    return path


def page(app: DiskwrightApp) -> FleetScreen:
    found = [screen for screen in app.screen_stack if isinstance(screen, FleetScreen)]
    assert found, shown_on(app)
    return found[0]


async def reached(pilot: Pilot[int], phase: str) -> FleetSession:
    app = pilot.app
    assert isinstance(app, DiskwrightApp)
    await eventually(pilot, lambda: any(isinstance(s, FleetScreen) for s in app.screen_stack))
    fleet = page(app).fleet
    await eventually(pilot, lambda: fleet.phase == phase)
    await pilot.pause(0.1)
    return fleet


async def test_a_fleet_is_planned_built_and_kept(fleet: Path, make_app: MakeApp) -> None:
    app = make_app(subject=Fleet(fleet))
    async with app.run_test(size=(120, 40)) as pilot:
        session = await reached(pilot, "planned")
        assert not (fleet.parent / "out").exists()
        assert "2 images" in shown_on(app)
        await pilot.press("f5")
        await reached(pilot, "over")
        assert [row.state for row in session.rows.values()] == ["ok", "ok"]
        assert session.outcome == "ok"
        assert {row.progress for row in session.rows.values()} == {1000}
        assert (fleet.parent / "out/node-2/node-2.img").exists()

        await pilot.press("down", "enter")
        await eventually(pilot, lambda: isinstance(app.screen, BuildScreen))
        built = app.screen
        assert isinstance(built, BuildScreen)
        await eventually(pilot, lambda: built.status == "ok")
        assert built.build.name == "node-2"
        await pilot.press("escape")
        assert isinstance(app.screen, FleetScreen)
        await pilot.press("f5")
        await eventually(pilot, lambda: session.rows["node-1"].state == "unchanged")
        await eventually(pilot, lambda: session.phase == "over")
        await pilot.press("escape")
        await eventually(pilot, lambda: isinstance(app.screen, StartScreen))


async def test_workers_are_chosen_before_it_is_built(
    fleet: Path, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.tools.processors.processors", lambda: 5)
    app = make_app(subject=Fleet(fleet))
    async with app.run_test(size=(120, 40)) as pilot:
        session = await reached(pilot, "planned")
        for wanted in (2, 4, 5, 0):
            await pilot.press("w")
            told = f"F5 builds them by {wanted} workers" if wanted else "F5 builds them:"
            await eventually(pilot, partial(shows, app, told))
            assert session.workers == wanted


def shows(app: DiskwrightApp, text: str) -> bool:
    return text in shown_on(app)


async def test_without_dask_the_wizard_says_what_workers_need(
    fleet: Path, make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    app = make_app(subject=Fleet(fleet))
    async with app.run_test(size=(120, 40)) as pilot:
        session = await reached(pilot, "planned")
        await pilot.press("w")
        await eventually(pilot, lambda: len(app._notifications))
        (told,) = app._notifications
        assert "is not installed" in told.message
        assert (session.workers, session.phase) == (0, "planned")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of Dask's own sockets
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_workers_build_it(fleet: Path, make_app: MakeApp) -> None:
    app = make_app(subject=Fleet(fleet))
    async with app.run_test(size=(120, 40)) as pilot:
        session = await reached(pilot, "planned")
        session.workers = 2
        await pilot.press("f5")
        await reached(pilot, "over")
        assert [row.state for row in session.rows.values()] == ["ok", "ok"]
        assert {row.worker for row in session.rows.values()} == {"0", "1"}


async def test_a_row_that_failed_is_found_and_tried_again(fleet: Path, make_app: MakeApp) -> None:
    app = make_app(subject=Fleet(fleet))
    async with app.run_test(size=(120, 40)) as pilot:
        session = await reached(pilot, "planned")
        blocked = fleet.parent / "out" / "node-2"
        blocked.parent.mkdir()
        blocked.write_text("a file where the folder goes")
        await pilot.press("f5")
        await reached(pilot, "over")
        assert [row.state for row in session.rows.values()] == ["ok", "refused"]
        assert session.outcome == "failed"
        await pilot.press("f")
        assert session.shown == [1]
        assert "node-1" not in shown_on(app)
        blocked.unlink()
        await pilot.press("r")
        await eventually(pilot, lambda: session.rows["node-2"].state == "ok")
        await eventually(pilot, lambda: session.shown == [])


@pytest.fixture
def doubled(fleet: Path) -> Path:
    """A fleet with two rows of one name, and a source that looks like markup."""
    fleet.write_text(FLEET.replace('"2"', '"1"').replace("own/", "[bold]gone/"))
    return fleet


async def test_what_is_wrong_is_told_and_nothing_built(doubled: Path, make_app: MakeApp) -> None:
    fleet, app = doubled, make_app(subject=Fleet(doubled))
    async with app.run_test(size=(80, 24)) as pilot:
        await reached(pilot, "refused")
        assert "2 rows are called" in shown_on(app)
        await pilot.press("f5", "enter", "r")
        assert not (fleet.parent / "out").exists()


async def test_a_fleet_is_opened_from_the_start_page(fleet: Path, make_app: MakeApp) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await eventually(pilot, lambda: isinstance(app.screen, StartScreen))
        start = app.screen
        assert isinstance(start, StartScreen)
        start.open([fleet])
        await reached(pilot, "planned")


async def test_a_cancel_asks_and_leaves_what_is_done(fleet: Path, make_app: MakeApp) -> None:
    (fleet.parent / "base.toml").write_text(f'{BASE}[hooks]\nafter_build = "sleep 60"\n')
    app = make_app(subject=Fleet(fleet))
    async with app.run_test(size=(120, 40)) as pilot:
        session = await reached(pilot, "planned")
        await pilot.press("f5")
        await eventually(pilot, lambda: session.rows["node-1"].step == "hook")
        await pilot.press("escape")
        assert isinstance(app.screen, FleetScreen)
        await pilot.press("ctrl+x")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await eventually(pilot, lambda: session.phase == "over")
        assert [row.state for row in session.rows.values()] == ["cancelled", "cancelled"]
        assert list((fleet.parent / "out").rglob("*part*")) == []


def recorded() -> Iterator[FleetEvent]:
    """Yields what a fleet of seven said, ended in the middle."""
    steps = [
        {"id": "make-root", "title": "Make", "bytes": 0},
        {"id": "populate-root", "title": "Fill the root", "bytes": 1 << 29},
    ]
    plan = {"name": "node-3", "disk": {"bytes": 1 << 30}, "steps": steps}
    states: list[State] = ["unchanged"]
    states += ["waiting"] * 6
    yield FleetStarted(
        fleet="fleet.toml",
        workers=2,
        rows=tuple(
            RowOutline(image=f"node-{number}", bytes=1 << 30, state=state)
            for number, state in enumerate(states, start=1)
        ),
    )
    yield RowStarted(time=0.0, image="node-2", worker="0")
    yield Said("node-2", BuildStarted(time=0.1, plan=plan | {"name": "node-2"}))
    yield RowFinished(
        time=4.0, image="node-2", state="ok", seconds=4.0, worker="0", reused=300 << 20
    )
    yield RowStarted(time=4.0, image="node-3", worker="0")
    yield Said("node-3", BuildStarted(time=4.0, plan=plan))
    yield Said("node-3", StepStarted(time=4.0, id="make-root", title="Make the root"))
    yield Said("node-3", StepFinished(time=4.5, id="make-root", status="ok", seconds=0.5))
    yield Said("node-3", StepStarted(time=4.5, id="populate-root", title="Fill the root"))
    yield Said("node-3", Log(time=4.6, id="populate-root", stream="note", text="halfway"))
    yield Said("node-3", Progress(time=5.5, id="populate-root", done=1 << 28, total=1 << 29))
    yield RowFinished(
        time=5.0, image="node-4", state="failed", seconds=1.0, worker="1", step="populate-root",
        message="/srv/[1] is on a file system that is full", hint="free at least 2 GiB there",
    )  # fmt: skip
    yield RowFinished(
        time=5.0, image="node-5", state="lost", seconds=1.0, worker="1", message="4 workers lost"
    )
    yield RowFinished(time=5.0, image="node-6", state="cancelled", seconds=1.0)


def make(folder: Path) -> DiskwrightApp:
    session = FleetSession(Path("fleet.jsonl"), None, events=recorded(), pace=0)
    return DiskwrightApp(
        subject=session, config=Config(folder / "config.toml"), session=Session(folder / "state"),
        environment=ENVIRONMENT,
    )  # fmt: skip


async def look(folder: Path, size: tuple[int, int]) -> str:
    app = make(folder)
    async with app.run_test(size=size) as pilot:
        session = await reached(pilot, "running")
        await eventually(pilot, lambda: session.rows["node-6"].state == "cancelled")
        await pilot.press("down", "down", "down")
        await pilot.pause(0.2)
        return shown_on(app)


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_the_page_looks_as_it_did(tmp_path: Path, size: tuple[int, int]) -> None:
    file = PAGES / f"{size[0]}x{size[1]}.txt"

    assert (await look(tmp_path, size)).rstrip() == file.read_text().rstrip()


async def test_a_record_has_a_page_for_each_row(tmp_path: Path) -> None:
    app = make(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        session = await reached(pilot, "running")
        await eventually(pilot, lambda: session.rows["node-6"].state == "cancelled")
        await pilot.press("enter")
        assert isinstance(app.screen, FleetScreen)  # nothing is recorded of the first
        await pilot.press("down", "down", "enter")
        await eventually(pilot, lambda: "halfway" in shown_on(app))
        assert isinstance(app.screen, BuildScreen)


def test_progress_never_reaches_the_end_before_the_row_does() -> None:
    row = RowState("a")
    row.hear(BuildStarted(plan={"steps": [{"id": "x", "title": "", "bytes": 10}]}))
    assert row.progress == 0
    row.hear(StepStarted(id="x", title="x"))
    row.hear(Progress(id="x", done=10, total=10))
    row.hear(StepFinished(id="x", status="ok", seconds=1))
    assert row.progress == 999
    row.state = "ok"
    assert row.progress == 1000


def _record() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    PAGES.mkdir()
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            text = asyncio.run(look(Path(folder), size)).rstrip() + "\n"
        (PAGES / f"{size[0]}x{size[1]}.txt").write_text(text)


if __name__ == "__main__":
    _record()

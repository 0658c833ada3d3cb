"""The build screen: what the events of a build amount to, and what can be done at its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.pilot import Pilot
from textual.widgets import Button

from engine.events import (
    AnyEvent,
    Artifact,
    BuildFinished,
    BuildStarted,
    Emit,
    Log,
    Progress,
    StepFinished,
    StepStarted,
)
from engine.pipeline.replay import read_record
from engine.problem import Problem, Refused
from engine.spec.model import Hooks, ImageSpec, Layout
from tests.tui.conftest import MakeApp, eventually, settled, shown
from tui import afterwards
from tui.app import DiskwrightApp
from tui.bridge import EventQueue
from tui.progress import WHOLE, BuildState
from tui.replay import ReplayJob
from tui.screens.build import BuildScreen
from tui.screens.dialogs import ConfirmScreen
from tui.screens.image import ImageScreen
from tui.screens.verb import VerbScreen
from tui.throughput import MOST_SAMPLES, History
from tui.watching import report_text

RECORDS = Path(__file__).parents[2] / "screenshots"
BUILT, FAILED = RECORDS / "build.jsonl", RECORDS / "failed.jsonl"
PLAN = {
    "name": "disk",
    "disk": {"bytes": 4096, "table": "gpt"},
    "steps": [
        {"id": "one", "title": "First", "bytes": 900},
        {"id": "two", "title": "Second", "bytes": 100},
    ],
}


def test_steps_that_run_side_by_side_count_together() -> None:
    begun = [StepStarted(time=0, id=key, title=key.title()) for key in ("one", "two")]
    moved = [
        Progress(time=time, id=key, done=time * pace * 1000, total=100_000)
        for time in (1, 2, 3)
        for key, pace in (("one", 2), ("two", 3))
    ]
    state = state_after(*begun, *moved)
    assert [step.id for step in state.running] == ["one", "two"]
    assert state.rate == 5000
    state.feed(StepFinished(time=4, id="one", status="ok", seconds=4))
    assert [step.id for step in state.running] == ["two"]
    assert state.rate == 3000
    state.feed(BuildFinished(time=5, status="failed", seconds=5, step="two"))
    assert state.running == []
    assert state.failed_step is state.steps["two"]


def state_after(*events: AnyEvent) -> BuildState:
    state = BuildState()
    for event in (BuildStarted(plan=PLAN), *events):
        state.feed(event)
    return state


# ---------------------------------------------------------------------- what events amount to


def test_the_share_follows_the_weights_and_never_falls() -> None:
    started = StepStarted(id="one", title="First")
    half = state_after(started, Progress(id="one", done=50, total=100))
    done = state_after(started, StepFinished(id="one", status="ok", seconds=1))
    assert WHOLE * 40 // 100 < half.share() < WHOLE // 2
    assert half.share() < done.share() < WHOLE
    # A second tool of the step starts over; the whole does not.
    before = half.share()
    half.feed(Log(id="one", stream="command", text="qemu-img compare a b"))
    half.feed(Progress(id="one", done=1, total=100))
    assert half.share() == before
    assert half.steps["one"].command == ("qemu-img", "compare", "a", "b")


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["one", "two", "other"]),
            st.integers(0, 2**63),
            st.integers(0, 2**63),
        ),
        max_size=40,
    )
)
def test_any_progress_keeps_the_share_between_nothing_and_whole(
    reports: list[tuple[str, int, int]],
) -> None:
    state, last = state_after(), 0
    for number, (step, done, total) in enumerate(reports):
        state.feed(Progress(time=float(number), id=step, done=done, total=total))
        assert last <= state.share() <= WHOLE
        last = state.share()


def test_time_left_waits_for_a_second_of_samples() -> None:
    started = StepStarted(id="one", title="First")
    early = state_after(
        started,
        Progress(time=0.1, id="one", done=10, total=100),
        Progress(time=0.9, id="one", done=20, total=100),
    )
    assert early.steps["one"].left() is None
    assert early.left(0.9) is None
    early.feed(Progress(time=2.1, id="one", done=50, total=100))
    assert early.steps["one"].rate() == 20
    assert early.steps["one"].left() == pytest.approx(2.5)
    assert early.left(2.1) is not None


def test_a_whole_record_ends_at_the_whole() -> None:
    state = BuildState()
    for event in read_record(BUILT):
        state.feed(event)
    assert state.status == "ok"
    assert state.share() == WHOLE
    assert all(step.status == "ok" for step in state.steps.values())
    assert state.artifacts[0].path == "images/web-server.qcow2"
    assert report_text(state).startswith(state.artifacts[0].line)


@given(st.lists(st.tuples(st.floats(0, 1e5), st.integers(0, 2**40)), max_size=300))
def test_the_history_keeps_every_byte_in_bounded_room(moves: list[tuple[float, int]]) -> None:
    history = History()
    for time, moved in sorted(moves):
        history.add(time, moved)
    assert history.total == sum(moved for _, moved in moves)
    assert len(history.rates(10_000)) <= MOST_SAMPLES
    assert len(history.rates(20)) <= 20
    kept = sum(rate * history.span for rate in history.rates(10_000))
    assert kept == pytest.approx(history.total, abs=MOST_SAMPLES * history.span + 1)


def test_a_batch_is_bounded_and_in_order() -> None:
    queue = EventQueue()
    for number in range(10):
        queue.put(Progress(id="one", done=number, total=10))
    first = queue.drain(6)
    assert [event.done for event in first if isinstance(event, Progress)] == [0, 1, 2, 3, 4, 5]
    assert len(queue.drain(6)) == 4
    assert queue.drain(6) == []


# ---------------------------------------------------------------------- records


def test_a_record_that_breaks_off_gets_an_end(tmp_path: Path) -> None:
    lines = BUILT.read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn.jsonl"
    whole = lines.index(next(line for line in lines if b'"populate-root","done"' in line))
    torn.write_bytes(b"".join(lines[: whole + 1]) + lines[whole + 1][:30])
    end = read_record(torn)[-1]
    assert isinstance(end, BuildFinished)
    assert (end.status, end.step) == ("failed", "populate-root")


@pytest.mark.parametrize("text", ["", "no json\n", '{"event": "log"}\n', '{"a": 1}\n{"b": 2}\n'])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "build.jsonl"
    file.write_text(text)
    with pytest.raises(Refused) as refusal:
        read_record(file)
    assert "build.jsonl" in refusal.value.problems[0].message


def test_only_verbs_that_exist_are_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(afterwards, "VERBS", {"boot": None})
    assert [item.verb for item in afterwards.offered(["image", "spec"])] == ["boot"]
    assert afterwards.offered(["spec", "outdir"]) == ()


@pytest.mark.parametrize(
    ("names", "flashed", "looked"),
    [
        (["a.img", "a.img.zst", "SHA256SUMS"], "a.img", "a.img"),
        (["a.img.zst", "a.img.bmap"], "a.img.zst", None),
        (["a.qcow2"], "a.qcow2", "a.qcow2"),
        (["SHA256SUMS"], None, None),
    ],
)
def test_what_can_be_written_to_a_disk(
    tmp_path: Path, names: list[str], flashed: str | None, looked: str | None
) -> None:
    made = []
    for name in names:
        (tmp_path / name).touch()
        made.append(Artifact(path=str(tmp_path / name), bytes=0, sha256=""))
    found = [afterwards.flashable_of(made), afterwards.image_of(made)]
    assert [path and path.name for path in found] == [flashed, looked]


# ---------------------------------------------------------------------- the screen


@dataclass
class Stuck:
    """A build that runs until it is cancelled."""

    events: tuple[AnyEvent, ...]
    outdir: Path | None = None
    title: str = "stuck"
    pace: float = 1.0
    refused: tuple[Problem, ...] = ()
    cancelled: bool = False

    async def run(self, emit: Emit) -> None:
        for event in self.events:
            emit(event)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            emit(BuildFinished(status="cancelled", seconds=1, step="one", time=1.0))
            raise


async def screen_of(app: DiskwrightApp, pilot: Pilot[int]) -> BuildScreen:
    await eventually(pilot, lambda: isinstance(app.screen, BuildScreen))
    assert isinstance(app.screen, BuildScreen)
    return app.screen


async def until(pilot: Pilot[int], screen: BuildScreen, status: str) -> None:
    await eventually(
        pilot,
        lambda: screen.status == status,
        lambda: screen.status != "running" and f"{screen.status} instead of {status}",
    )
    await pilot.pause()
    await pilot.pause()


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20), (40, 12)], ids=str)
async def test_a_replay_tells_what_was_made(make_app: MakeApp, size: tuple[int, int]) -> None:
    app = make_app(job=ReplayJob(read_record(BUILT), pace=0))
    async with app.run_test(size=size) as pilot:
        screen = await screen_of(app, pilot)
        await until(pilot, screen, "ok")
        text = shown(app)
        assert "Built web-server" in text
        assert "100 %" in text
        assert app.screen.query(Button).first().region.bottom <= size[1]


@pytest.mark.parametrize("size", [(120, 40), (80, 24)], ids=str)
async def test_a_failure_tells_where_why_and_what_was_printed(
    make_app: MakeApp, size: tuple[int, int]
) -> None:
    app = make_app(job=ReplayJob(read_record(FAILED), pace=0))
    async with app.run_test(size=size) as pilot:
        screen = await screen_of(app, pilot)
        await until(pilot, screen, "failed")
        text = shown(app)
        assert "Run the after-build hook failed" in text
        assert "exited with status 3" in text
        assert "nginx.conf test failed" in text
        # The log stands at the failing step alone.
        assert "Pass 1" not in text
        assert "command: bash" in report_text(screen.build.state)


async def test_failure_to_field_to_retry(make_app: MakeApp, home: Path) -> None:
    spec = ImageSpec(layout=Layout(table="none"), hooks=Hooks(after_build="exit 7"))
    app = make_app(spec)
    async with app.run_test(size=(80, 24)) as pilot:
        design = await settled(pilot)
        await pilot.press("f5", "f5")
        screen = await screen_of(app, pilot)
        await until(pilot, screen, "failed")
        assert "status 7" in shown(app)
        await pilot.press("g")
        await pilot.pause()
        assert app.current_mode == "design"
        assert design.step == "output"
        assert not (home / "out" / "disk.img").exists()
        app.switch_mode("build")
        await pilot.pause()
        await pilot.press("r")
        again = await screen_of(app, pilot)
        await eventually(pilot, lambda: app.screen is not screen)
        again = await screen_of(app, pilot)
        assert again is not screen
        await until(pilot, again, "failed")


async def test_the_design_is_there_while_a_build_runs(make_app: MakeApp) -> None:
    events = (BuildStarted(plan=PLAN), StepStarted(id="one", title="First"))
    app = make_app(ImageSpec(layout=Layout(table="none")))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        job = Stuck(events)
        await app.builds.show(job)
        screen = await screen_of(app, pilot)
        await pilot.press("escape")
        await pilot.pause()
        assert app.current_mode == "design"
        assert not job.cancelled
        app.switch_mode("build")
        await pilot.pause()
        assert app.screen is screen
        await pilot.press("ctrl+x")
        await pilot.pause()
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("escape")
        await eventually(pilot, lambda: app.screen is screen)
        assert screen.status == "running"
        await pilot.press("ctrl+x")
        await pilot.pause()
        await pilot.press("tab", "enter")
        await until(pilot, screen, "cancelled")
        assert job.cancelled
        assert "Cancelled" in shown(app)


async def test_a_silent_tool_is_said_to_run_still(make_app: MakeApp) -> None:
    now = [0.0]
    job = Stuck((
        BuildStarted(plan=PLAN),
        StepStarted(id="one", title="First", argv=("mke2fs", "image")),
        Log(id="one", stream="command", text="mke2fs image"),
    ))  # fmt: skip
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.builds.show(job, clock=lambda: now[0])
        screen = await screen_of(app, pilot)
        await eventually(pilot, lambda: screen.build.state.running)
        assert "still running" not in shown(app)
        now[0] = 5.0
        await eventually(pilot, lambda: "still running mke2fs, silent for 0:05" in shown(app))
        await app.builds.end()


async def test_a_fault_in_a_build_ends_on_its_page(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class Broken(Stuck):
        async def run(self, emit: Emit) -> None:
            raise LookupError("[/not markup]")

    monkeypatch.setattr("tui.watching.state_folder", lambda: tmp_path / "state")
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await app.builds.show(Broken(()))
        screen = await screen_of(app, pilot)
        await until(pilot, screen, "failed")
        assert "[/not markup]" in shown(app)
        assert "please report it" in shown(app)
    assert list((tmp_path / "state").glob("report-*.txt"))


async def test_what_was_built_can_be_looked_into_and_verified(make_app: MakeApp) -> None:
    app = make_app(ImageSpec(layout=Layout(table="none", label="looked-at")))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("f5", "f5")
        screen = await screen_of(app, pilot)
        await until(pilot, screen, "ok")
        assert "Look inside" in shown(app)
        await pilot.press("i")
        await eventually(pilot, lambda: isinstance(app.screen, ImageScreen) and app.screen.summary)
        await pilot.pause()
        assert "looked-at" in shown(app)
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, BuildScreen)
        await pilot.press("v")
        await eventually(
            pilot, lambda: isinstance(app.screen, VerbScreen) and app.screen.work.ended
        )
        assert isinstance(app.screen, VerbScreen)
        assert app.screen.work.ended == "done"
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, BuildScreen)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (60, 20), (40, 12)], ids=str)
async def test_the_running_step_is_in_sight(make_app: MakeApp, size: tuple[int, int]) -> None:
    steps = [{"id": f"s{n}", "title": f"Step {n}", "bytes": 10} for n in range(14)]
    ended = [
        event
        for n in range(11)
        for event in (
            StepStarted(id=f"s{n}", title=f"Step {n}"),
            StepFinished(id=f"s{n}", status="ok", seconds=0),
        )
    ]
    plan = {"name": "disk", "steps": steps}
    job = Stuck((BuildStarted(plan=plan), *ended, StepStarted(id="s11", title="Step 11")))
    app = make_app(job=job)
    async with app.run_test(size=size) as pilot:
        await screen_of(app, pilot)
        await eventually(pilot, lambda: shown(app).count("Step 11") >= 2)
        # Twice: in the list, and as the head of its lines in the log.
        rows = [row for row in shown(app).splitlines() if "Step 11" in row]
        assert len(rows) == 2, shown(app)
        await app.builds.end()

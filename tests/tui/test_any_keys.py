"""Whatever keys are pressed: the wizard stands, and every figure it shows is the engine's."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from textual._xterm_parser import XTermParser
from textual.events import Key
from textual.pilot import Pilot

from engine.disk.view import regions
from engine.plan.as_json import to_json
from engine.plan.model import Plan
from engine.plan.regions import view
from engine.planning import plan_spec
from engine.spec.model import Content, ImageSpec, Size
from engine.spec.save import dumps
from engine.units import human
from screenshots.scenes import make_app
from tests.tui.conftest import PATIENCE, settled
from tui.document import Document
from tui.screens.design import DesignScreen
from tui.theme import DARK
from tui.widgets.bars import TitleBar
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.partition_map import PartitionMap
from tui.widgets.partition_table import PartitionTable
from tui.widgets.spec_view import SpecView
from tui.widgets.volume_table import VolumeTable

KEYS = (
    "tab", "shift+tab", "up", "down", "left", "right", "enter", "space", "escape", "home", "end",
    "f1", "f2", "f4", "f6", "shift+f6", "f7", "f8", "f9", "ctrl+z", "ctrl+y", "ctrl+t", "ctrl+b",
    "ctrl+o", "ctrl+l", "ctrl+g", "less_than_sign", "greater_than_sign", "p", "c", "tab",
    "ctrl+u", "backspace", "delete", "pageup", "pagedown",
    "1", "4", "8", "M", "G", "a", "e", "r", "x", "u", "j", "k", "left_square_bracket", "slash",
    *(f"alt+{number}" for number in range(1, 7)),
)  # fmt: skip
SIZES = [(120, 40), (170, 45), (80, 24), (60, 20), (40, 12), (20, 5)]


def figures(plan: Plan) -> dict[str, Any]:
    """Returns everything of a plan but its problems, which also tell of the output folder."""
    return {key: value for key, value in to_json(plan).items() if key != "problems"}


class Wizard(RuleBasedStateMachine):
    """A person who presses anything, in a terminal of any size."""

    def __init__(self) -> None:
        super().__init__()
        self._before = Path.cwd()
        self._folder = tempfile.TemporaryDirectory()
        self.home = Path(self._folder.name)
        (self.home / "rootfs").mkdir()
        (self.home / "rootfs" / "file").write_bytes(b"x" * 40_000)
        os.chdir(self.home)
        self._loop = asyncio.new_event_loop()
        self._commands: asyncio.Queue[tuple[Any, asyncio.Future[Any]]] = asyncio.Queue()
        self.app = make_app(self.home, theme=DARK.name)
        self._driver = self._loop.create_task(self._drive())

    async def _drive(self) -> None:
        """Runs the app in one task; commands come through a queue."""
        async with self.app.run_test(size=SIZES[0]) as pilot:
            while True:
                command, done = await self._commands.get()
                if command is None:
                    done.set_result(None)
                    return
                done.set_result(await command(pilot))

    def do(self, command: Callable[[Pilot[int]], Awaitable[Any]] | None) -> Any:  # noqa: ANN401
        """Runs a command beside the app, whose fault would be raised here."""

        async def handed_over() -> Any:  # noqa: ANN401
            done: asyncio.Future[Any] = self._loop.create_future()
            await self._commands.put((command, done))
            finished, _ = await asyncio.wait(
                {done, self._driver}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
            )
            if self._driver in finished and not done.done():
                self._driver.result()
            assert done.done(), "the wizard hangs"
            return done.result()

        return self._loop.run_until_complete(handed_over())

    @initialize()
    def begin(self) -> None:
        spec = ImageSpec(
            size=Size(additional="4MiB", boot="64MiB"),
            contents=(Content(source="rootfs/", target="/"),),
        )

        async def design(pilot: Pilot[int]) -> None:
            self.app.design(Document(spec=spec, base=self.home))
            await settled(pilot)

        self.do(design)

    @rule(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6))
    def press(self, keys: list[str]) -> None:
        async def press(pilot: Pilot[int]) -> None:
            await pilot.press(*keys)

        self.do(press)

    @rule(down=st.integers(0, 9), then=st.sampled_from(["", "shift+up", "x", "ctrl+z", "e"]))
    def add_volume(self, down: int, then: str) -> None:
        """Adds a volume of any kind, as long as nothing stands before the design."""

        async def add(pilot: Pilot[int]) -> None:
            if isinstance(pilot.app.screen, DesignScreen):
                await pilot.press("alt+1", "a", *["down"] * down, "enter", "ctrl+s")
                await pilot.press(*[then] if then else [])

        self.do(add)

    @rule(start=st.integers(0, 200), by=st.integers(-60, 60), step=st.sampled_from(["f4", ""]))
    def drag(self, start: int, by: int, step: str) -> None:
        """Drags from anywhere on the map to anywhere, as a mouse can."""

        async def drag(pilot: Pilot[int]) -> None:
            screen = pilot.app.screen
            if not isinstance(screen, DesignScreen):
                return
            await pilot.press(*[step] if step else [])
            shown_map = screen.query_one(PartitionMap)
            width = screen.region.intersection(shown_map.region).width
            if width > 0:
                at, goal = start % width, min(max(start % width + by, 0), width - 1)
                await pilot.mouse_down(shown_map, offset=(at, 0))
                await pilot.hover(shown_map, offset=(goal, 0))
                await pilot.mouse_up(shown_map, offset=(goal, 0))

        self.do(drag)

    @rule(size=st.sampled_from(SIZES))
    def resize(self, size: tuple[int, int]) -> None:
        async def resize(pilot: Pilot[int]) -> None:
            await pilot.resize_terminal(*size)

        self.do(resize)

    @invariant()
    def figures_are_the_engines(self) -> None:
        if self.app.designing is None:
            return
        screen = self.do(settled)
        assert isinstance(screen, DesignScreen)
        shown = screen.preview.plan
        if shown is None or screen.preview.stale:
            return
        planned = plan_spec(
            screen.spec, base=self.home, outdir=Path(screen.outdir or "."), force=True
        )
        assert figures(shown) == figures(planned)
        title = screen.query_one(TitleBar)
        assert title.figure == f"{human(planned.disk.bytes)} {planned.disk.table}"
        table = screen.query_one(PartitionTable)
        if table.size.width > 60 and table.size.height > 4:
            text = table.render().plain
            assert all(human(region.bytes) in text for region in regions(view(planned)))
        shown_map = screen.query_one(PartitionMap)
        assert shown_map.regions == regions(view(planned))
        drawn = [region for part in shown_map.drawn() for region in part.regions]
        assert not drawn or drawn == list(shown_map.regions)
        if shown_map.ghost is not None:
            ghost = shown_map.ghost
            assert ghost.border.least <= ghost.size <= ghost.border.most
        if screen.query_one(SpecView).display:
            listed = "\n".join(screen.query_one(SpecView).listing.lines)
            assert listed == dumps(screen.spec, screen.document.text).rstrip("\n")
        assert screen.preview.settings is not None
        rows = screen.query_one(VolumeTable).row_count
        assert screen.step != "layout" or rows == len(screen.preview.settings.volumes)
        bar = screen.query_one(BreakdownBar)
        told = sum(line.bytes for line in bar.lines() if line.opens or not bar.by_volume)
        assert told == planned.disk.bytes
        assert sum(share.bytes for share in bar.shares()) == planned.disk.bytes

    def teardown(self) -> None:
        if not self._driver.done():
            self.do(None)
            self._loop.run_until_complete(self._driver)
        self._loop.close()
        os.chdir(self._before)
        self._folder.cleanup()


Wizard.TestCase.settings = settings(
    max_examples=3,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestWizard = Wizard.TestCase


@pytest.mark.parametrize("digit", "123456")
def test_alt_and_a_digit_as_terminals_send_it(digit: str) -> None:
    parser = XTermParser()
    keys = [event.key for event in parser.feed(f"\x1b{digit}") if isinstance(event, Key)]
    keys += [event.key for event in parser.feed("") if isinstance(event, Key)]
    assert keys == [f"alt+{digit}"]

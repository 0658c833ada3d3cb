"""A fleet on the screen: a row for each image, how it stands, and the page of each build."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType

from engine.problem import Refused
from tui.bridge import DRAIN_SECONDS
from tui.fleets import FleetRows, FleetSession, RowJob, RowState
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.screens.build import BuildScreen
from tui.screens.closing import Page
from tui.screens.dialogs import ConfirmScreen
from tui.text import visible_lines
from tui.widgets.bars import KeyBar, TitleBar
from tui.widgets.labels import Plain
from tui.widgets.row_table import RowTable

GROUP = "fleet"
"""Of the workers that build, which belong to the app: the screen may be left."""


class FleetScreen(Page[None]):
    """Shows one fleet, from its plan to its end."""

    CSS_PATH = "fleet.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bindings("fleet")
    HELP = """
# Fleet

A row for each image: how it stands, how much of it is done, how fast, by which worker. F5 builds
what has changed since the last time; images that are up to date stay as they are.

- Enter opens the page of a row's build, with its steps and its log.
- f shows only the rows that failed, or all again.
- w has more and more processes of this machine build, then this one alone again. Small images are
  built faster so; a large one takes all processors anyway.
- r tries the row under the cursor once more, while the others go on.
- Ctrl+X cancels; what is done stays.
"""

    def __init__(self, session: FleetSession, glyphs: Glyphs = UNICODE) -> None:
        super().__init__()
        self.fleet = session
        self.glyphs = glyphs
        self._shown: list[int] = []

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        yield Plain("", id="fleet-line")
        yield Plain("", id="fleet-problems")
        yield RowTable(self.glyphs, id="fleet-rows")
        yield Plain("", id="fleet-row")
        yield KeyBar(id="keys")

    async def on_mount(self) -> None:
        self.query_one(TitleBar).file = self.fleet.path.name
        self.query_one(RowTable).focus()
        self.set_interval(DRAIN_SECONDS, self._drain)
        self._tell()
        self.run_worker(self._begin(), group="fleet-plan", exclusive=True)

    async def _begin(self) -> None:
        await self.fleet.plan()
        self._fill()
        if self.fleet.outdir is None:
            self.action_build()

    def _drain(self) -> None:
        if self.fleet.drain():
            if self._shown != self.fleet.shown or not self._shown:
                self._fill()
            self.query_one(RowTable).refresh()
            self._tell()

    def _fill(self) -> None:
        """Shows the rows that pass the filter; the cursor stays where it is."""
        table = self.query_one(RowTable)
        at, self._shown = table.cursor, self.fleet.shown
        table.show(FleetRows(self.fleet, self.glyphs), self._shown)
        table.go(at)
        self._tell()

    def _tell(self) -> None:
        fleet = self.fleet
        self.query_one("#fleet-line", Plain).show(f" {fleet.line}")
        problems = self.query_one("#fleet-problems", Plain)
        problems.display = bool(fleet.problems)
        problems.show(visible_lines("\n".join(fleet.problems)))
        row = self._row
        detail = ""
        if row is not None:
            detail = row.message + (f" ({row.hint})" if row.hint else "")
        self.query_one("#fleet-row", Plain).show(f" {visible_lines(detail)}")
        self.query_one(TitleBar).figure = fleet.outcome or fleet.phase
        self.refresh_bindings()

    @property
    def _row(self) -> RowState | None:
        """The row under the cursor."""
        table = self.query_one(RowTable)
        if not 0 <= table.cursor < len(self._shown):
            return None
        return list(self.fleet.rows.values())[self._shown[table.cursor]]

    @on(RowTable.Moved)
    def _moved(self) -> None:
        self._tell()

    @on(RowTable.Opened)
    def _opened(self) -> None:
        self.action_open()

    # ------------------------------------------------------------------ actions

    def action_build(self) -> None:
        """Builds what has changed; planned anew where it was built before."""
        # A fault of ours ends the wizard with its report: the page would say "running" for ever.
        self.app.run_worker(self._build(), group=GROUP, exclusive=True)

    async def _build(self) -> None:
        if self.fleet.phase == "over":
            await self.fleet.plan()
        if self.fleet.phase != "refused":
            await self.fleet.run()

    def action_cancel(self) -> None:
        """Asks, then cancels."""

        def act(answer: str | None) -> None:
            if answer == "yes" and self.fleet.is_running:
                self.app.workers.cancel_group(self.app, GROUP)

        question = ConfirmScreen(
            "Cancel the fleet?",
            "Images that are done stay; of the others nothing partial is left.",
            (("no", "Keep building"), ("yes", "Cancel it")),
        )
        self.app.push_screen(question, act)

    def action_open(self) -> None:
        """Opens the page of the row under the cursor."""
        row = self._row
        if row is None or row.first is None:
            self.app.bell()
            return
        page = RowScreen(RowJob(row), self.glyphs)
        self.app.push_screen(page)
        self.app.run_worker(page.build.run(), group="fleet-row", exclusive=True)

    def action_failures(self) -> None:
        """Shows only the rows that failed, or all again."""
        self.fleet.only_failures = not self.fleet.only_failures
        self._fill()

    def action_retry(self) -> None:
        """Tries the row under the cursor once more."""
        row = self._row
        if row is not None and not self.fleet.retry(row.name):
            self.action_build()  # nothing runs any more: whatever is not done is built

    async def action_workers(self) -> None:
        """Changes how many processes build."""
        try:
            await asyncio.to_thread(self.fleet.change_workers)
        except Refused as refused:
            self.notify(refused.problems[0].line(), severity="warning", markup=False)
        self._tell()

    async def action_back(self) -> None:
        """Leaves the fleet, unless it is being built."""
        if self.fleet.is_running and self.fleet.outdir is not None:
            self.app.bell()
            self.notify("It is being built; Ctrl+X cancels it", markup=False)
            return
        self.app.workers.cancel_group(self.app, GROUP)
        await asyncio.sleep(0)
        self.dismiss(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if not self.is_mounted or not self.query(RowTable):
            return super().check_action(action, parameters)
        return self.fleet.allows(action, self._row) and super().check_action(action, parameters)


class RowScreen(BuildScreen):
    """The page of one row's build, from which Escape goes back to the fleet."""

    def action_back(self) -> None:
        """Goes back to the fleet, which goes on."""
        self.app.workers.cancel_group(self.app, "fleet-row")
        self.dismiss(None)

    def action_start(self) -> None:
        """Goes back, too: there is nothing else to begin here."""
        self.action_back()

    def action_cancel(self) -> None:
        """Leaves it to the fleet: a row is not cancelled alone."""
        self.say("Ctrl+X on the fleet's page cancels the whole of it")

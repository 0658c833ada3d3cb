"""Review: everything that will happen, before it happens."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.widgets import Button
from textual.worker import get_current_worker

from engine.plan.as_text import written_by_commands
from engine.plan.booting import unbootable
from engine.plan.model import Plan
from engine.plan.outdir import look
from engine.spec.rules import RULES
from engine.spec.settings import Settings
from engine.units import human
from tui.panes.base import Pane
from tui.preview import Preview
from tui.text import counted, visible
from tui.widgets.bars import aligned
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.hanging import Hanging, HangingLine
from tui.widgets.labels import Plain
from tui.widgets.partition_table import PartitionTable


class ReviewPane(Pane):
    """Shows the plan in full and offers to build it."""

    STEP = "review"
    TITLE = "Review"
    LEAD = "Everything the build will do. Nothing has been written yet."

    building_waits = reactive(False)
    differences: reactive[tuple[str, ...]] = reactive(())

    compare: Callable[[Plan], tuple[str, ...]] | None = None
    """Answers where a plan would be another by the other rules; asked on a thread."""
    _compared: Plan | None = None

    class BuildWanted(Message):
        """The plan is to be built."""

    class SaveWanted(Message):
        """The spec is to be saved."""

    @staticmethod
    def choice(preview: Preview, settings: Settings) -> str:
        """Whether it can be built."""
        if not preview.why_not_buildable():
            return "ready"
        return counted(len(preview.errors), "error") if preview.errors else "not yet"

    def form(self) -> ComposeResult:
        with Horizontal(id="review-actions"):
            yield Button("Build (F5)", id="review-build", compact=True, variant="primary")
            yield Button("Save the spec (Ctrl+S)", id="review-save", compact=True)
        yield Plain("", id="review-why")
        yield Plain("", id="review-note")
        yield Plain("", id="review-problems")
        yield Plain("Partitions", classes="section beside-preview")
        yield PartitionTable(self.glyphs, id="review-table")
        yield Plain("Where the bytes go", classes="section beside-preview")
        yield BreakdownBar(self.glyphs, id="review-breakdown")
        yield Plain("Files written", classes="section")
        yield Plain("", id="review-outputs")
        yield Plain("Steps and commands", classes="section")
        yield Hanging(id="review-steps")
        yield Plain("", classes="section", id="review-other-rules")
        yield Plain("", id="review-differences")

    def show(self, preview: Preview) -> None:
        """Fills every section from the plan."""
        why = preview.why_not_buildable()
        ready = "Ready: nix builds the system first" if preview.builds_system else "Ready to build"
        button = self.query_one("#review-build", Button)
        button.disabled = bool(why) and not preview.waits_for_scan
        line = self.query_one("#review-why", Plain)
        if preview.waits_for_scan:
            line.show(Content.styled(self._scanning(preview), "$muted"))
        elif why:
            text = f"{self.glyphs.error} Cannot build yet: {visible(why)}"
            line.show(Content.styled(text, "$state-error"))
        else:
            line.show(Content.styled(f"{self.glyphs.done} {ready}", "$state-done"))
        note = "" if preview.plan is None or preview.stale else unbootable(preview.plan)
        noted = self.query_one("#review-note", Plain)
        noted.display = bool(note) and not why
        noted.show(f"{note}. Step 3, Boot, adds one.")
        self._problems(preview)
        if preview.settings is not None:
            other = RULES[preview.settings.rules.other]
            head = f"Compared with {other.title}'s rules"
            self.query_one("#review-other-rules", Plain).show(head)
        plan = preview.plan
        if plan is None:
            return
        self.query_one(PartitionTable).view = preview.view
        breakdown = self.query_one(BreakdownBar)
        breakdown.exact = True
        breakdown.view = preview.view
        self.query_one("#review-outputs", Plain).show(self._outputs(plan))
        self.query_one(Hanging).lines = steps_lines(plan, self.glyphs.arrow)
        self._compare(preview)

    def _compare(self, preview: Preview) -> None:
        """Has the plan compared with what the other rules make, once for each plan."""
        compare, plan = self.compare, preview.plan
        if compare is None or plan is None or preview.stale or plan is self._compared:
            return
        self._compared = plan

        def ask() -> None:
            worker = get_current_worker()
            lines = compare(plan)
            if not worker.is_cancelled:
                self.app.call_from_thread(setattr, self, "differences", lines)

        self.run_worker(ask, thread=True, exclusive=True, group="differences")

    def watch_building_waits(self) -> None:
        if self.is_made:
            self.show(self.preview)

    def watch_differences(self, lines: tuple[str, ...]) -> None:
        for shown in self.query("#review-differences").results(Plain):  # none while all closes
            text = "\n".join(f"{self.glyphs.dot} {visible(line)}" for line in lines)
            shown.show(text or "No difference.")

    def _scanning(self, preview: Preview) -> str:
        amount = f"{preview.entries:,} entries, {human(preview.bytes)}"
        waits = "the build starts when this is done" if self.building_waits else "F5 builds then"
        return f"Scanning sources: {amount} so far; {waits}"

    def _problems(self, preview: Preview) -> None:
        lines = []
        for problem in preview.problems:
            mark = self.glyphs.state(problem.severity)
            where = f" ({problem.path})" if problem.path else ""
            hint = f" {self.glyphs.dash} {problem.hint}" if problem.hint else ""
            lines.append(
                Content.styled(
                    visible(f"{mark} {problem.severity.title()}{where}: {problem.message}{hint}"),
                    f"$state-{problem.severity}",
                )
            )
        shown = self.query_one("#review-problems", Plain)
        shown.display = bool(lines)
        shown.show(Content("\n").join(lines))

    def _outputs(self, plan: Plan) -> Content:
        folder = Path(self.outdir or ".")
        found = look(folder, plan.writes)
        states = dict.fromkeys(found.ours, "replaces that of an earlier build")
        states |= dict.fromkeys(found.foreign, "replaces a file that no build made: asked first")
        states |= dict(found.blocked)
        pairs = [(name, states.get(name, "new")) for name in plan.writes]
        pairs += [(text, "") for text in written_by_commands(plan)]
        listed = aligned([(visible(name), state) for name, state in pairs])
        return Content("\n").join([Content(visible(f"in {folder}:")), listed])

    @on(Button.Pressed, "#review-build")
    def _build(self) -> None:
        self.post_message(self.BuildWanted())

    @on(Button.Pressed, "#review-save")
    def _save(self) -> None:
        self.post_message(self.SaveWanted())


def steps_lines(plan: Plan, arrow: str) -> tuple[HangingLine, ...]:
    """Returns the steps with the exact command of each that runs a tool."""
    lines = []
    for number, step in enumerate(plan.steps, start=1):
        amount = f"  {human(step.bytes)}" if step.bytes else ""
        lines.append(HangingLine(f"{number:2} ", visible(step.title), amount))
        lines.extend(
            HangingLine(f"   {arrow} ", visible(_command(argv)), style="$muted")
            for argv in step.argv
        )
    return tuple(lines)


def _command(argv: tuple[str, ...]) -> str:
    """Returns a command as a shell reads it; `$IMAGE` is left to be expanded."""
    return shlex.join(argv).replace("'$IMAGE'", '"$IMAGE"')

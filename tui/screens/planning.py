"""The half of the design screen that is never seen: edits in, plans out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import msgspec
from textual import on, work
from textual.reactive import reactive
from textual.screen import Screen
from textual.timer import Timer
from textual.worker import get_current_worker

from engine.manifest.scan import ScanCancelled
from engine.plan.model import Plan
from engine.plan.regions import changes
from engine.planning import Planner, Resolved, Sources
from engine.problem import Fix, Problem, Refused
from engine.spec.edit import apply, apply_fix
from engine.spec.model import ImageSpec
from tui import planner as planning
from tui.document import Document
from tui.fields import OUTDIR
from tui.history import History
from tui.preview import Preview
from tui.screens.messages import DocumentChanged
from tui.widgets.bars import ChangeLine
from tui.widgets.field import REFUSED
from tui.widgets.messages import ContentsEdited, FieldLeft, FixWanted, SpecEdited

SCAN_DELAY = 0.12
"""Seconds without an edit before the sources are walked again."""


class PlanningScreen(Screen[None]):
    """Holds the one spec: takes edits, keeps their history, and has the engine plan each."""

    spec: reactive[ImageSpec] = reactive(ImageSpec)
    preview: reactive[Preview] = reactive(Preview)
    outdir = reactive("")

    def __init__(self, document: Document, planner: Planner, outdir: Path) -> None:
        super().__init__()
        self.document = document
        self.planner = planner
        self.history = History(document.spec, str(outdir))
        self._kept_outdir = str(outdir)
        self.set_reactive(PlanningScreen.spec, document.spec)
        self.set_reactive(PlanningScreen.outdir, str(outdir))
        self._refused: dict[str, tuple[Problem, ...]] = {}
        self._found: Sources | None = None
        self._before: Plan | None = None
        self._announce: Timer | None = None

    def show_fields(self) -> None:
        """Shows the fields in sight anew; for the class that has them."""
        raise NotImplementedError

    @on(SpecEdited)
    def _spec_edited(self, message: SpecEdited) -> None:
        message.stop()
        if message.path == OUTDIR:
            typing = message.path if message.typing else ""
            self.history.push_outdir(str(message.value or ""), message.name, typing=typing)
            self.outdir = self.history.outdir
            return
        try:
            spec = apply(self.history.spec, message.path, message.value)
        except Refused as refused:
            self._refused[message.path] = refused.problems
            self._show_problems()
            return
        self._refused.pop(message.path, None)
        self._push(spec, message.name, message.path if message.typing else "")

    @on(ContentsEdited)
    def _contents_edited(self, message: ContentsEdited) -> None:
        message.stop()
        self._push(
            msgspec.structs.replace(self.history.spec, contents=message.contents), message.name
        )

    @on(FixWanted)
    def _fix_wanted(self, message: FixWanted) -> None:
        message.stop()
        self.apply_fix(message.fix)

    @on(FieldLeft)
    def _field_left(self, message: FieldLeft) -> None:
        message.stop()
        self.history.settle()
        # A first mistake is told now.
        self.show_fields()

    def _push(self, spec: ImageSpec, name: str, typing: str = "") -> None:
        if not self.history.continues(typing):
            self._before = self.preview.plan
        if self.history.push(spec, name, typing=typing):
            self.spec = spec
        else:
            self._show_problems()

    def watch_spec(self) -> None:
        """Plans the new spec."""
        if self.is_mounted:
            self.replan()
            self.post_message(DocumentChanged())

    def watch_outdir(self) -> None:
        """Plans for the new folder: what is there, and how much room."""
        self.watch_spec()

    @property
    def is_saved(self) -> bool:
        """Whether nothing has changed since the design was opened or saved, the folder included."""
        return self.document.is_saved(self.spec) and self.outdir == self._kept_outdir

    def save_to(self, path: Path) -> None:
        """Saves the spec.

        Raises:
            OSError: As `Document.save` does.
        """
        self.document.save(self.spec, path)
        self._kept_outdir = self.outdir

    def action_undo(self) -> None:
        """Takes the last edit back."""
        self._went("Undid", self.history.undo())

    def action_redo(self) -> None:
        """Does it again."""
        self._went("Redid", self.history.redo())

    def _went(self, did: str, name: str) -> None:
        if not name:
            self.app.bell()
            return
        self._refused.clear()
        self._before = self.preview.plan
        self.spec = self.history.spec
        self.outdir = self.history.outdir
        self.say(f"{did}: {name}")

    def say(self, text: str) -> None:
        """Shows a sentence beside the map for a few seconds."""
        line = self.query_one(ChangeLine)
        line.note = text
        if self._announce is not None:
            self._announce.stop()
        self._announce = self.set_timer(4, lambda: setattr(line, "note", ""))

    def replan(self) -> None:
        """Plans the spec: at once with the entries known, and again once others are found."""
        resolved = self.planner.resolve(self.spec)
        found = self._found
        if found is not None and found.answer(resolved.settings):
            self.workers.cancel_group(self, "scan")
            self._plan(resolved, found, scanning=False)
            return
        if found is not None:
            self._plan(resolved, found, scanning=True)
        else:
            self.preview = replace(
                self.preview,
                spec=self.spec,
                settings=resolved.settings,
                scanning=True,
                problems=self._with_refused(resolved.problems),
            )
        self._scan(resolved)

    def _plan(self, resolved: Resolved, found: Sources, *, scanning: bool) -> None:
        if planning.is_quick(resolved, found):
            self.workers.cancel_group(self, "plan")
            plan = planning.plan(self.planner, resolved, found, Path(self.outdir))
            self._took_plan(resolved, plan, scanning=scanning)
        else:
            self._plan_aside(resolved, found, scanning)

    @work(thread=True, exclusive=True, group="plan")
    def _plan_aside(self, resolved: Resolved, found: Sources, scanning: bool) -> None:
        worker = get_current_worker()
        plan = planning.plan(self.planner, resolved, found, Path(self.outdir))
        if not worker.is_cancelled:
            self.app.call_from_thread(self._took_plan, resolved, plan, scanning=scanning)

    @work(exclusive=True, group="scan")
    async def _scan(self, resolved: Resolved) -> None:
        if self._found is not None:
            await asyncio.sleep(SCAN_DELAY)
        worker = get_current_worker()

        def progress(entries: int, size: int) -> None:
            self.app.call_from_thread(self._scan_progress, entries, size)

        try:
            found = await asyncio.to_thread(
                planning.read, self.planner, resolved, progress, lambda: worker.is_cancelled
            )
        except ScanCancelled:
            return
        if worker.is_cancelled:
            return
        self._found = found
        self._plan(self.planner.resolve(self.spec), found, scanning=False)

    def _scan_progress(self, entries: int, size: int) -> None:
        if self.preview.scanning:
            self.preview = replace(self.preview, entries=entries, bytes=size)

    def _took_plan(self, resolved: Resolved, plan: Plan, *, scanning: bool) -> None:
        """Shows a plan; where no disk could be laid out, the last one stays in sight, dimmed."""
        drawable = bool(plan.partitions) or plan.filesystem is not None
        before = self._before
        self.preview = Preview(
            spec=self.spec,
            settings=resolved.settings,
            plan=plan if drawable else self.preview.plan,
            stale=not drawable,
            scanning=scanning,
            problems=self._with_refused(plan.problems),
            changes=changes(before, plan) if drawable and before is not None else (),
            counts={} if self._found is None else self._found.contents.counts,
            closure=None if self._found is None else self._found.brought.closure,
        )

    def _show_problems(self) -> None:
        own = [p for p in self.preview.problems if p.code != REFUSED]
        self.preview = replace(self.preview, problems=self._with_refused(tuple(own)))

    def _with_refused(self, problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
        refused = [
            replace(problem, path=path, code=REFUSED)
            for path, found in self._refused.items()
            for problem in found
        ]
        unique = dict.fromkeys((*refused, *problems))
        return tuple(sorted(unique, key=lambda problem: problem.severity != "error"))

    def apply_fix(self, fix: Fix) -> None:
        """Makes the edits of a fix, as one step of the history."""
        self.history.settle()
        try:
            spec = apply_fix(self.history.spec, fix)
        except Refused as refused:
            self.say(refused.problems[0].message)
            return
        self._refused.clear()
        self._push(spec, fix.label)
        self.say(f"Fixed: {fix.label}")

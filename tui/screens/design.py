"""The design screen: one spec, six panes, and the preview that never leaves."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import ContentSwitcher

from engine.planning import Planner
from engine.problem import Fix, Refused
from engine.spec.model import ImageSpec
from tui.designing import DesignSession
from tui.document import Document
from tui.fields import OUTDIR
from tui.glyphs import UNICODE, Glyphs
from tui.held_keys import HeldKeys
from tui.keys import bindings
from tui.panes.base import Pane, rail_steps
from tui.panes.boot import BootPane
from tui.panes.contents import ContentsPane
from tui.panes.layout import LayoutPane
from tui.panes.output import OutputPane
from tui.panes.review import ReviewPane
from tui.panes.size import SizePane
from tui.preview import Preview, step_of
from tui.replanning import Replanner
from tui.screens.closing import Page
from tui.screens.design_sight import Sight
from tui.screens.jump import JumpScreen, targets_of
from tui.screens.messages import BuildRequested, DocumentChanged, SaveRequested, StartRequested
from tui.screens.problems import Answer, ProblemsScreen
from tui.widgets.bars import ChangeLine, KeyBar, ProblemLine, TitleBar
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.labels import Plain
from tui.widgets.messages import (
    ContentsEdited,
    FieldLeft,
    FixWanted,
    SpecEdited,
    StepWanted,
    VolumeLookedAt,
    VolumesEdited,
)
from tui.widgets.partition_map import PartitionMap
from tui.widgets.preview_panel import PreviewPanel
from tui.widgets.spec_view import SpecView
from tui.widgets.step_rail import StepRail

PANES: tuple[type[Pane], ...] = (
    LayoutPane,
    SizePane,
    BootPane,
    ContentsPane,
    OutputPane,
    ReviewPane,
)


class DesignScreen(Page[None]):
    """Shows the spec in panes; they post edits, the engine does the rest."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("design")

    spec: reactive[ImageSpec] = reactive(ImageSpec)
    preview: reactive[Preview] = reactive(Preview)
    outdir = reactive("")
    step = reactive("layout")

    def __init__(
        self,
        document: Document,
        planner: Planner,
        *,
        outdir: Path,
        glyphs: Glyphs = UNICODE,
        step: str = "layout",
    ) -> None:
        super().__init__()
        self.design = DesignSession(document, planner, str(outdir))
        self.glyphs = glyphs
        self.set_reactive(DesignScreen.spec, document.spec)
        self.set_reactive(DesignScreen.outdir, str(outdir))
        self._replanner = Replanner(self, self.design, lambda: self.outdir, self._show_design)
        self.set_reactive(DesignScreen.step, step)
        self._sight = Sight(self, self.design, self._enter)
        self._left = False
        self.held = HeldKeys()

    # ------------------------------------------------------------------ what is on it

    def compose(self) -> ComposeResult:
        yield TitleBar(self.glyphs, id="title")
        with Container(id="body"):
            yield StepRail(self.glyphs, id="rail").data_bind(current=DesignScreen.step)
            yield PreviewPanel(self.glyphs, id="preview").data_bind(DesignScreen.preview)
            with Vertical(id="form"):
                yield Plain("", id="lead")
                with ContentSwitcher(initial=self.step, id="panes"):
                    for pane in PANES:
                        shown = self.step == pane.STEP
                        yield pane(self.glyphs, self.document.base, shown=shown).data_bind(
                            DesignScreen.preview, DesignScreen.outdir
                        )
            yield SpecView(self.glyphs, id="spec-view")
        yield ProblemLine(self.glyphs, id="problem-line")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        self.query_one(LayoutPane).trial = self.design.trial
        self.query_one(ReviewPane).compare = self.design.differences
        self._show_step(self.step)
        self.replan()
        self.call_after_refresh(self._enter)
        # What was planned while this ran has not been shown.
        self.call_after_refresh(lambda: self.watch_preview(self.preview))

    def on_screen_resume(self, event: events.ScreenResume) -> None:
        # Textual resumes a new mode twice; all styles are fresh from mounting.
        event.refresh_styles = self._left

    def on_screen_suspend(self) -> None:
        self._left = True

    # ------------------------------------------------------------------ steps

    @property
    def pane(self) -> Pane:
        """The pane in sight."""
        return self.query_one(f"#{self.step}", Pane)

    def show_fields(self) -> None:
        """Shows the pane in sight anew."""
        self.pane.show(self.preview)

    async def show_step(self, step: str) -> None:
        """Shows a step; its form is made when it is shown for the first time."""
        pane = self.query_one(f"#{step}", Pane)
        if not pane.is_made:
            await pane.make()
            exact = self.query_one("#breakdown", BreakdownBar).exact
            for bar in pane.query(BreakdownBar):
                bar.exact = exact
        self.step = step

    def watch_step(self, step: str) -> None:
        if self.is_mounted:
            self._show_step(step)

    def _show_step(self, step: str) -> None:
        self.query_one(ContentSwitcher).current = step
        self.pane.show(self.preview)
        self.query_one("#lead", Plain).show(self.pane.LEAD)
        if not self._sight.is_form:
            self._sight.show_form()
        self._show_rail()
        self.refresh_bindings()

    @on(StepWanted)
    async def _step_wanted(self, message: StepWanted) -> None:
        if message.step == "+":
            await self.action_next_step()
            return
        if message.enter:
            await self._go_into(message.step)
        else:
            await self.show_step(message.step)

    async def _go_into(self, step: str) -> None:
        """Shows a step and goes into it; what is typed meanwhile is for its form."""
        self.held.hold()
        try:
            await self.show_step(step)
            self._enter()
        finally:
            # The application gives the focus, and then the keys, in the order of its messages.
            self.app.call_later(self._release)

    async def _release(self) -> None:
        for event in self.held.release():
            await self.app.on_event(event)

    def _enter(self) -> None:
        widget = self.pane.first_focus()
        if widget is not None:
            # It is in sight: a form is seen from its top, or as it was left. Textual would take it
            # to the middle of one that has no height yet.
            widget.focus(scroll_visible=False)

    async def action_step(self, index: int) -> None:
        """Shows a step by its position."""
        await self._go_into(PANES[index].STEP)

    def _position(self) -> int:
        return [pane.STEP for pane in PANES].index(self.step)

    async def action_next_step(self) -> None:
        """Shows the next step and goes into it."""
        await self.action_step(min(self._position() + 1, len(PANES) - 1))

    async def action_previous_step(self) -> None:
        """Shows the step before and goes into it."""
        await self.action_step(max(self._position() - 1, 0))

    async def action_back(self) -> None:
        """Leaves table or spec, then the field, then the step; never discards anything."""
        if not self._sight.is_form:
            self._sight.show_form()
            return
        rail = self.query_one(StepRail)
        if self.focused is not rail:
            rail.focus()
        elif self._position():
            await self.show_step(PANES[self._position() - 1].STEP)

    def _show_rail(self) -> None:
        self.query_one(StepRail).steps = rail_steps(PANES, self.preview)

    # ------------------------------------------------------------------ edits

    @property
    def document(self) -> Document:
        """The file that is designed."""
        return self.design.document

    @on(SpecEdited)
    def _spec_edited(self, message: SpecEdited) -> None:
        message.stop()
        if message.path == OUTDIR:
            typing = message.path if message.typing else ""
            self.design.edit_outdir(str(message.value or ""), message.name, typing=typing)
            self.outdir = self.design.outdir
            return
        edit = self.design.edit
        self._edited(edit(message.path, message.value, message.name, typing=message.typing))

    @on(ContentsEdited)
    def _contents_edited(self, message: ContentsEdited) -> None:
        message.stop()
        self._edited(self.design.edit_contents(message.contents, message.name))

    @on(VolumesEdited)
    def _volumes_edited(self, message: VolumesEdited) -> None:
        message.stop()
        self._edited(self.design.edit_volumes(message.edit, message.name))

    @on(VolumeLookedAt)
    def _volume_looked_at(self, message: VolumeLookedAt) -> None:
        message.stop()
        self.query_one(PartitionMap).choose(message.id)

    @on(FixWanted)
    def _fix_wanted(self, message: FixWanted) -> None:
        message.stop()
        self.apply_fix(message.fix)

    @on(FieldLeft)
    def _field_left(self, message: FieldLeft) -> None:
        message.stop()
        self.design.history.settle()
        # A first mistake is told now.
        self.show_fields()

    def _edited(self, changed: bool) -> None:
        """Shows what an edit led to: another spec, or what is wrong with it."""
        if changed:
            self.spec = self.design.spec
        else:
            self._show_design()

    def watch_spec(self) -> None:
        if self.is_mounted:
            self._build_waits(False)
            self.replan()
            self.post_message(DocumentChanged())

    def watch_outdir(self) -> None:
        self.watch_spec()

    @property
    def is_saved(self) -> bool:
        """Whether nothing has changed since the design was opened or saved."""
        return self.design.is_saved

    def save_to(self, path: Path, *, overwrite: bool = False) -> None:
        """Saves the spec.

        Raises:
            OSError: As `Document.save` does.
        """
        self.design.save_to(path, overwrite=overwrite)

    def action_undo(self) -> None:
        """Takes the last edit back."""
        self._went("Undid", self.design.undo())

    def action_redo(self) -> None:
        """Does it again."""
        self._went("Redid", self.design.redo())

    def _went(self, did: str, name: str) -> None:
        if not name:
            self.app.bell()
            return
        self.spec = self.design.spec
        self.outdir = self.design.outdir
        self.say(f"{did}: {name}")

    def apply_fix(self, fix: Fix) -> None:
        """Makes the edits of a fix, as one step of the history."""
        try:
            changed = self.design.fix(fix)
        except Refused as refused:
            self.say(refused.problems[0].message)
            return
        self._edited(changed)
        self.say(f"Fixed: {fix.label}")

    def say(self, text: str) -> None:
        """Shows a sentence beside the map for a few seconds."""
        self.query_one(ChangeLine).say(text)

    # ------------------------------------------------------------------ planning

    def replan(self) -> None:
        """Has the spec planned."""
        self._replanner.replan()

    @property
    def _has_widgets(self) -> bool:
        """Whether there is something to show on: what a worker finds may come while all closes."""
        return bool(self.query(TitleBar))

    def _show_design(self) -> None:
        if self._has_widgets:
            self.preview = self.design.preview

    def watch_preview(self, preview: Preview) -> None:
        if not self.is_mounted:
            return
        self.query_one(TitleBar).tell(preview, self.document.name, saved=self.is_saved)
        self._sight.list_spec()
        self.query_one(ProblemLine).problems = preview.problems
        self.query_one(ProblemLine).scanning = preview.waits_for_scan
        self._show_rail()
        self.refresh_bindings()
        if self.query_one(ReviewPane).building_waits and not preview.waits_for_scan:
            self._build_waits(False)
            self.build()

    # ------------------------------------------------------------------ problems and fixes

    @on(ProblemLine.Wanted)
    def action_problems(self) -> None:
        """Opens the list of problems."""

        async def act(answer: Answer | None) -> None:
            if answer is None:
                return
            what, problem = answer
            if what == "fix" and problem.fix is not None:
                self.apply_fix(problem.fix)
            else:
                await self.go_to(problem.path)

        self.app.push_screen(ProblemsScreen(self.preview.problems, self.glyphs), act)

    async def go_to(self, path: str) -> None:
        """Shows the step of a key path and focuses its field; what is typed meanwhile is for it."""

        def focus() -> None:
            if not self.pane.focus_path(path):
                self._enter()
            self.app.call_later(self._release)

        self.held.hold()
        try:
            await self.show_step(step_of(path))
        finally:
            self.call_after_refresh(focus)

    def action_fix(self) -> None:
        """Applies the fix that is nearest: of the focused field, of the step, of any."""
        fix = self.design.nearest_fix(self._focused_path(), self.step)
        if fix is None:
            self.say("No problem offers a fix")
            self.app.bell()
            return
        self.apply_fix(fix)

    def _focused_path(self) -> str:
        for node in self.focused.ancestors_with_self if self.focused else ():
            spec = getattr(node, "spec", None)
            path = getattr(spec, "path", None)
            if isinstance(path, str):
                return path
        return ""

    # ------------------------------------------------------------------ preview

    def action_toggle_table(self) -> None:
        """Shows table and sizes in the place of the form, or the form again."""
        self._sight.toggle_table()

    def action_toggle_spec(self) -> None:
        """Shows the spec in the place of the form, or the form again."""
        self._sight.toggle_spec()

    def on_resize(self, event: events.Resize) -> None:
        self._sight.fit(event.size.width)

    def action_toggle_scale(self) -> None:
        """Draws the map true to scale, or even."""
        self.say(self.query_one(PreviewPanel).toggle_scale())

    def action_toggle_exact(self) -> None:
        """Shows the breakdown in bytes, or rounded."""
        for bar in self.query(BreakdownBar):
            bar.exact = not bar.exact

    def action_jump(self) -> None:
        """Puts a letter on everything in sight; the letter goes there."""

        def go(target: Widget | None) -> None:
            if target is not None:
                target.focus()

        self.app.push_screen(JumpScreen(targets_of(self.focus_chain)), go)

    def action_focus_map(self) -> None:
        """Goes to the map."""
        self.query_one(PartitionMap).focus()

    # ------------------------------------------------------------------ leaving

    def action_save(self) -> None:
        """Asks the app to save."""
        self.post_message(SaveRequested(ask=self.document.path is None))

    def action_save_as(self) -> None:
        """Asks the app to save under another name."""
        self.post_message(SaveRequested(ask=True))

    def action_start(self) -> None:
        """Asks the app for the start page."""
        self.post_message(StartRequested())

    @on(ReviewPane.SaveWanted)
    def _save_wanted(self) -> None:
        self.action_save()

    @on(ReviewPane.BuildWanted)
    def _build_wanted(self) -> None:
        self.build()

    async def action_build(self) -> None:
        """Goes to Review; from there, builds."""
        if self.step != "review":
            await self.show_step("review")
            self.call_after_refresh(self._enter)
            return
        self.build()

    def build(self) -> None:
        """Asks the app to build, or says why not."""
        preview = self.preview
        if preview.waits_for_scan:
            self._build_waits(True)
            self.say("The build starts when the sources are read")
            return
        why = preview.why_not_buildable()
        if why or preview.plan is None:
            self.say(f"Cannot build yet: {why}")
            self.app.bell()
            return
        outdir, base = Path(self.outdir), self.document.base
        self.post_message(BuildRequested(preview.plan, outdir, preview.spec, base))

    def _build_waits(self, waits: bool) -> None:
        """Notes whether a build is to start once the sources are read."""
        self.query_one(ReviewPane).building_waits = waits

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "undo":
            return True if self.design.history.undoable else None
        if action == "redo":
            return True if self.design.history.redoable else None
        if action == "build" and self.step == "review":
            preview = self.preview
            return True if preview.waits_for_scan or not preview.why_not_buildable() else None
        return super().check_action(action, parameters)

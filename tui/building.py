"""The half of the application that builds: jobs, their screen, and what comes after."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from textual import on, work
from textual.worker import Worker, WorkerError

from engine.plan.model import Plan
from engine.plan.outdir import Occupied, asked_about, look
from tui.bridge import EngineJob, Job
from tui.looking import LookingApp
from tui.screens.build import BuildScreen
from tui.screens.design import DesignScreen
from tui.screens.dialogs import ConfirmScreen
from tui.screens.messages import BuildRequested, StartRequested
from tui.screens.verb import VerbScreen
from tui.text import visible


class BuildingApp(LookingApp):
    """Owns the worker of a build, so that the build runs on whatever is looked at."""

    _build: Worker[None] | None = None

    @property
    def designing(self) -> DesignScreen | None:
        """The design screen, if there is one; for the class that has the modes."""
        raise NotImplementedError

    @property
    def is_building(self) -> bool:
        """Whether a build runs now."""
        return self._build is not None and self._build.is_running

    @on(BuildRequested)
    @work(group="dialog", exclusive=True)
    async def build_requested(self, message: BuildRequested) -> None:
        """Builds a plan, once the user agreed to what is replaced."""
        if self.is_building:
            self.switch_mode("build")
            return
        plan = message.plan
        found = await asyncio.to_thread(look, message.outdir, plan.writes)
        there = asked_about(found, outputs=plan.outputs, writes=plan.writes)
        if there:
            question = ConfirmScreen(
                "Replace what is there?",
                _replaced(message, found, there),
                (("no", "Keep them"), ("yes", "Replace and build")),
            )
            if await self.push_screen_wait(question) != "yes":
                return
        force = bool(there)
        replan = partial(_planned, message, force=force)
        await self.show_job(EngineJob(message.plan, message.outdir, force=force, replan=replan))

    async def show_job(self, job: Job, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Shows the build screen of a job and runs the job."""
        if "build" in self._modes:
            if self.current_mode == "build":
                await self.switch_mode("start")
            await self.remove_mode("build")
        designing = self.designing
        spec = designing.document.path if designing is not None else None
        self.add_mode("build", partial(BuildScreen, job, self.glyphs, spec=spec, clock=clock))
        await self.switch_mode("build")
        screen = self.screen
        assert isinstance(screen, BuildScreen)
        # What lives by now lives on: left out of the collector's walks, it stalls no key.
        gc.freeze()
        # The app, not the screen, owns the worker: leaving a screen cancels its workers.
        self._build = self.run_worker(screen.run_build(), group="build", exit_on_error=False)

    @on(BuildScreen.Retry)
    def _retry(self) -> None:
        if self.designing is not None:
            self.switch_mode("design")
            self.designing.build()

    @on(BuildScreen.FieldWanted)
    async def _field_wanted(self, message: BuildScreen.FieldWanted) -> None:
        if self.designing is not None:
            await self.switch_mode("design")
            self.designing.go_to(message.path)

    @on(BuildScreen.VerbWanted)
    @work(group="dialog", exclusive=True)
    async def _verb_wanted(self, message: BuildScreen.VerbWanted) -> None:
        """Runs a verb; an image that is known not to boot is booted only for those who insist."""
        if message.verb == "boot" and message.notes:
            question = ConfirmScreen(
                "Boot it all the same?",
                f"{'. '.join(message.notes)}. The virtual machine would stay in its firmware.",
                (("no", "Leave it"), ("yes", "Boot it")),
            )
            if await self.push_screen_wait(question) != "yes":
                return
        screen = VerbScreen(message.verb, message.subject, self.glyphs)
        self.push_screen(screen)
        self.run_worker(screen.work(), group="verb", exclusive=True, exit_on_error=False)

    @on(BuildScreen.StartWanted)
    def _start_wanted(self) -> None:
        self.post_message(StartRequested())

    @on(BuildScreen.TitleChanged)
    def _title_changed(self, message: BuildScreen.TitleChanged) -> None:
        self.name_terminal(message.title)

    def name_terminal(self, title: str) -> None:
        """Sets the title of the terminal's window (xterm's OSC 0)."""
        if self._driver is not None and not self.is_headless and not self.is_web:
            self._driver.write(f"\x1b]0;{visible(title)}\x07")

    def cancel_build(self) -> None:
        """Stops the running build, if any."""
        if self._build is not None:
            self._build.cancel()

    async def end_build(self) -> None:
        """Cancels the build and waits until nothing of it is left."""
        running = [w for w in self.workers if w.group in {"build", "verb"} and w.is_running]
        for worker in running:
            worker.cancel()
        for worker in running:
            with suppress(WorkerError):
                await worker.wait()


def _replaced(message: BuildRequested, found: Occupied, there: Sequence[str]) -> str:
    """Returns what is said of files that a build would replace."""
    plan, outdir = message.plan, message.outdir
    listed = ", ".join(there)
    sentences = [
        f"{outdir} already holds: {listed}. They are replaced once the new ones are "
        "complete and verified."
    ]
    foreign = [name for name in plan.writes if name in found.foreign]
    if foreign:
        sentences.append(f"No build is known to have made {', '.join(foreign)}.")
    left = sorted(found.described.difference(plan.writes))
    if left:
        sentences.append(f"{', '.join(left)} would be left without a record.")
    return "\n\n".join(sentences)


def _planned(message: BuildRequested, *, force: bool) -> Plan:
    """Plans a spec from the start, on a thread of its own."""
    from engine.planning import plan_spec

    return plan_spec(message.spec, base=message.base, outdir=message.outdir, force=force)

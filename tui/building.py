"""Builds of the wizard: their jobs, their screen, and what comes after."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from textual.app import App
from textual.worker import Worker, WorkerError

from engine.plan.model import Plan
from engine.plan.outdir import Occupied, asked_about, look
from tui.bridge import EngineJob, Job
from tui.glyphs import Glyphs
from tui.proofs import Proof
from tui.screens.build import BuildScreen
from tui.screens.console import ConsoleScreen
from tui.screens.dialogs import ConfirmScreen
from tui.screens.messages import BuildRequested
from tui.screens.verb import VerbScreen


class Builds:
    """Owns the worker of a build, so that the build runs on whatever is looked at.

    Where it says so, a method must run in a worker of the app, for it waits for answers.
    """

    def __init__(self, app: App[int], glyphs: Glyphs, spec: Callable[[], Path | None]) -> None:
        """Prepares it.

        Args:
            app: Whose modes, screens and workers are used.
            glyphs: What to draw with.
            spec: Answers where the spec that is designed is saved, if it is.
        """
        self._app, self._glyphs, self._spec = app, glyphs, spec
        self._build: Worker[None] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a build runs now."""
        return self._build is not None and self._build.is_running

    async def request(self, message: BuildRequested) -> None:
        """Builds a plan, once the user agreed to what is replaced. Must run in a worker."""
        app = self._app
        if self.is_running:
            app.switch_mode("build")
            return
        plan = message.plan
        found = await asyncio.to_thread(look, message.outdir, plan.writes)
        there = asked_about(found, outputs=plan.outputs, writes=plan.writes)
        answer = "yes"
        if there:
            saved = await asyncio.to_thread(_preview, plan, message.outdir)
            updates = (("update", "Update them"),) if saved else ()
            question = ConfirmScreen(
                "Replace what is there?",
                "\n\n".join(filter(None, (_replaced(message, found, there), saved))),
                (("no", "Keep them"), *updates, ("yes", "Replace and build")),
            )
            answer = await app.push_screen_wait(question)
            if answer == "no":
                return
        force = bool(there)
        replan = partial(_planned, message, force=force)
        await self.show(
            EngineJob(
                message.plan, message.outdir, force=force, update=answer == "update",
                replan=replan,
            )
        )  # fmt: skip

    async def show(self, job: Job, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Shows the build screen of a job and runs the job."""
        app = self._app
        if "build" in app._modes:
            if app.current_mode == "build":
                await app.switch_mode("start")
            await app.remove_mode("build")
        screen = partial(BuildScreen, job, self._glyphs, spec=self._spec(), clock=clock)
        app.add_mode("build", screen)
        await app.switch_mode("build")
        shown = app.screen
        assert isinstance(shown, BuildScreen)
        # What lives by now lives on: left out of the collector's walks, it stalls no key.
        gc.freeze()
        # The app, not the screen, owns the worker: leaving a screen cancels its workers.
        self._build = app.run_worker(shown.build.run(), group="build", exit_on_error=False)

    async def verb(self, message: BuildScreen.VerbWanted) -> None:
        """Runs a verb; an image known not to boot is booted only for those who insist.

        Must run in a worker.
        """
        app = self._app
        if message.verb == "boot" and message.notes:
            question = ConfirmScreen(
                "Boot it all the same?",
                f"{'. '.join(message.notes)}. The virtual machine would stay in its firmware.",
                (("no", "Leave it"), ("yes", "Boot it")),
            )
            if await app.push_screen_wait(question) != "yes":
                return
        if message.verb == "boot":
            self.boot(message.subject)
            return
        screen = VerbScreen(message.verb, message.subject, self._glyphs)
        app.push_screen(screen)
        app.run_worker(screen.work.run(), group="verb", exclusive=True, exit_on_error=False)

    def boot(self, image: Path) -> None:
        """Boots an image, its console in a pane; a build's page is told what was seen."""
        from engine.cli.boot import machines_for

        built = self._app.screen
        screen = ConsoleScreen(image, self._glyphs)

        def seen(proof: Proof | None) -> None:
            if proof is not None and isinstance(built, BuildScreen):
                built.prove(proof)

        self._app.push_screen(screen, seen)
        work = screen.work.run(machines_for)
        self._app.run_worker(work, group="verb", exclusive=True, exit_on_error=False)

    def cancel(self) -> None:
        """Stops the running build, if any."""
        if self._build is not None:
            self._build.cancel()

    async def end(self) -> None:
        """Cancels build and verb, and waits until nothing of them is left."""
        groups = {"build", "verb", "fleet"}
        running = [one for one in self._app.workers if one.group in groups and one.is_running]
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


def _preview(plan: Plan, outdir: Path) -> str:
    """Returns what is said of an update, "" where it would take nothing over."""
    # Here, because the pipeline takes a third of a second to import.
    from engine.pipeline.preview import preview

    found = preview(plan, outdir)
    if found is None:
        return ""
    return f"An update gives the same outputs sooner: {found.sentence}"


def _planned(message: BuildRequested, *, force: bool) -> Plan:
    """Plans a spec from the start, on a thread of its own."""
    from engine.planning import plan_spec

    return plan_spec(message.spec, base=message.base, outdir=message.outdir, force=force)

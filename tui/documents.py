"""The document that is designed: opened, resumed, saved, kept, and never lost unasked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from textual.app import App
from textual.timer import Timer

from engine.planning import Planner
from engine.problem import Refused
from tui.config import Config
from tui.document import ChangedOnDisk, Document, differing_lines, open_document
from tui.glyphs import Glyphs
from tui.screens.design import DesignScreen
from tui.screens.dialogs import AskScreen, ConfirmScreen, DifferencesScreen
from tui.screens.messages import DocumentChosen
from tui.session import Session, UnfinishedSession, discard, resume
from tui.typed import typed_path

AUTOSAVE_DELAY = 1.0
"""Seconds from an edit to its being kept."""


class Documents:
    """Owns the mode "design" of the app, and what is kept of its work.

    Where it says so, a method must run in a worker of the app, for it waits for answers.
    """

    def __init__(
        self,
        app: App[int],
        *,
        config: Config,
        session: Session,
        environment: Mapping[str, str],
        glyphs: Glyphs,
        outdir: Path,
    ) -> None:
        """Prepares it.

        Args:
            app: Whose modes, screens and timers are used.
            config: What is remembered of the user.
            session: Where unsaved work is kept.
            environment: For planning.
            glyphs: What to draw with.
            outdir: Where outputs go unless the user says otherwise.
        """
        self._app, self._config, self._session = app, config, session
        self._environment, self._glyphs, self._outdir = environment, glyphs, outdir
        self._autosave: Timer | None = None

    @property
    def screen(self) -> DesignScreen | None:
        """The design screen, if there is one."""
        for stack in self._app._screen_stacks.values():
            for screen in stack:
                if isinstance(screen, DesignScreen):
                    return screen
        return None

    async def choose(self, message: DocumentChosen) -> None:
        """Designs a document, once what was designed before is safe. Must run in a worker."""
        if message.asks and not await self.is_safe("Design another image?"):
            return
        found = await self._resumed(message.document)
        if found is None:
            await self.design(message.document, message.step, message.outdir)
            return
        try:
            await self.design(resume(found), found.saved.step, Path(found.saved.outdir))
        except OSError as error:
            self._app.notify(str(error), severity="warning", markup=False)
            await self.design(message.document, message.step, message.outdir)

    async def _resumed(self, document: Document) -> UnfinishedSession | None:
        """Offers changes of the file that a session left unsaved. Must run in a worker."""
        for found in self._session.unfinished_of(document):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.saved.time))
            title = f"Unsaved changes from {when}"
            answer = "compare"
            while answer == "compare":
                answer = await self._app.push_screen_wait(
                    ConfirmScreen(
                        title,
                        f"The wizard ended without saving {document.name}.",
                        (("resume", "Resume"), ("compare", "Differences"), ("discard", "Discard")),
                    )
                )
                if answer == "compare":
                    names = ("the file", "unsaved")
                    lines = differing_lines(document.text or "", found.saved.spec, names)
                    await self._app.push_screen_wait(DifferencesScreen(title, lines))
            if answer == "resume":
                return found
            discard(found)
        return None

    async def design(
        self, document: Document, step: str = "layout", outdir: Path | None = None
    ) -> None:
        """Shows the design screen of a document; what was designed before must be safe."""
        if "design" in self._app._modes:
            if self._app.current_mode == "design":
                await self._app.switch_mode("start")
            await self._app.remove_mode("design")
        if document.path is not None:
            self._config.remember(document.path)
        planner = Planner(document.base, self._environment)
        screen = partial(
            DesignScreen,
            document,
            planner,
            outdir=outdir or self._outdir,
            glyphs=self._glyphs,
            step=step,
        )
        self._app.add_mode("design", screen)
        await self._app.switch_mode("design")

    async def start(self) -> None:
        """Shows the start page anew, once what is designed is safe. Must run in a worker."""
        if await self.is_safe("Go to the start page?"):
            self._session.end()
            await self._app.switch_mode("start")

    async def save(self, *, ask: bool) -> bool:
        """Saves; whether that worked. Must run in a worker."""
        screen = self.screen
        if screen is None:
            return False
        document = screen.document
        path = document.path
        if ask or path is None:
            default = str(path) if path else f"{screen.spec.name or 'disk'}.toml"
            answer = await self._app.push_screen_wait(
                AskScreen("Save the spec", "As a TOML file:", default, "Save")
            )
            if not answer:
                return False
            path = typed_path(document.base, answer)
            if path.exists() and path != document.path:
                question = ConfirmScreen(
                    "Replace the file?", f"{path} exists.", (("no", "Keep it"), ("yes", "Replace"))
                )
                if await self._app.push_screen_wait(question) != "yes":
                    return False
        try:
            try:
                screen.save_to(path)
            except ChangedOnDisk:
                if not await self._overwrites(screen, path):
                    return False
                screen.save_to(path, overwrite=True)
        except OSError as error:
            screen.say(f"Not saved: {error.strerror}: {path}")
            self._app.bell()
            return False
        plan = screen.preview.plan
        self._config.remember(path, None if plan is None else plan.disk.bytes)
        screen.say(f"Saved {path}")
        screen.watch_preview(screen.preview)
        return True

    async def _overwrites(self, screen: DesignScreen, path: Path) -> bool:
        """Asks what to do about a file that others changed; whether to overwrite it."""
        answer = "compare"
        while answer == "compare":
            answer = await self._app.push_screen_wait(
                ConfirmScreen(
                    "The file changed on disk",
                    f"Others changed {path} since it was opened here. Overwrite it with what is "
                    "here, or reload it and lose what is not saved? F12 saves under another name.",
                    (
                        ("stay", "Stay"),
                        ("compare", "Differences"),
                        ("reload", "Reload"),
                        ("overwrite", "Overwrite"),
                    ),
                )
            )
            if answer == "compare":
                before = await asyncio.to_thread(path.read_text, "utf-8", "replace")
                lines = differing_lines(before, screen.spec, ("the file", "here"))
                await self._app.push_screen_wait(DifferencesScreen(str(path), lines))
        if answer == "reload":
            try:
                await self.design(open_document(path), screen.step, Path(screen.outdir))
            except Refused as refused:
                screen.say(f"Not reloaded: {refused.problems[0].line()}")
                self._app.bell()
        return answer == "overwrite"

    async def is_safe(self, title: str) -> bool:
        """Asks about unsaved work; whether to go on. Must run in a worker."""
        screen = self.screen
        if screen is None or screen.is_saved:
            return True
        answer = await self._app.push_screen_wait(
            ConfirmScreen(
                title,
                f"{screen.document.name} has changes that are not saved.",
                (("stay", "Stay"), ("save", "Save"), ("discard", "Discard")),
            )
        )
        if answer == "save":
            return await self.save(ask=False)
        return answer == "discard"

    def changed(self) -> None:
        """Has the work kept when no further edit comes for a while."""
        if self._autosave is not None:
            self._autosave.stop()
        self._autosave = self._app.set_timer(AUTOSAVE_DELAY, self.keep)

    def keep(self) -> None:
        """Keeps the work where a later start finds it."""
        screen = self.screen
        if screen is None:
            return
        if screen.is_saved:
            self._session.end()
        else:
            self._session.keep(screen.document, screen.spec, screen.step, screen.outdir)

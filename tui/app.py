"""The wizard: modes, themes, keys, quitting, and what happens when something breaks."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.timer import Timer

from engine.events import AnyEvent
from engine.planning import Planner
from engine.problem import Refused
from tui.bridge import Job
from tui.building import BuildingApp
from tui.commands import WizardCommands
from tui.config import Config, load_config, moves
from tui.document import ChangedOnDisk, Document, differing_lines, open_document
from tui.fields import DEFAULT_OUTDIR
from tui.glyphs import ASCII, UNICODE
from tui.help import help_for
from tui.keys import KEYS, bindings
from tui.opening import Importable, opened
from tui.replay import ReplayJob
from tui.report import write_report
from tui.screens.design import DesignScreen
from tui.screens.dialogs import AskScreen, ConfirmScreen, DifferencesScreen, HelpScreen
from tui.screens.messages import (
    ComparisonRequested,
    DocumentChanged,
    DocumentChosen,
    FlashRequested,
    ImageRequested,
    ImportRequested,
    SaveRequested,
    StartRequested,
)
from tui.screens.start import StartScreen
from tui.session import Session, UnfinishedSession, discard, resume
from tui.terminal import read_alt_digits
from tui.theme import DARK, LIGHT, preferred, volume_variables
from tui.typed import typed_path

AUTOSAVE_DELAY = 1.0
"""Seconds from an edit to its being kept."""
CRASHED = 70
"""Exit status of a fault of our own (EX_SOFTWARE of sysexits.h)."""
CANCELLED = 130

_SPELT = {"⏎": "enter", "⌫": "bksp"}
"""Keys whose glyphs not every terminal has."""

COLUMNS: list[tuple[int, str]] = [(0, "-tiny"), (50, "-narrow"), (80, "-normal"), (120, "-wide")]
ROWS: list[tuple[int, str]] = [(0, "-short"), (18, "-low"), (24, "-medium"), (34, "-tall")]
"""Sizes of the terminal from which the style sheet has rules of their own."""


class _BlockScrollBar(ScrollBarRender):
    """A scroll bar of whole cells: no glyph that a terminal may lack."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


ScrollBar.renderer = _BlockScrollBar
read_alt_digits()


class DiskwrightApp(BuildingApp):
    """Start, design and build are modes: a build runs on while the design is looked at."""

    TITLE = "Diskwright"
    CSS_PATH = "diskwright.tcss"
    HORIZONTAL_BREAKPOINTS = COLUMNS
    VERTICAL_BREAKPOINTS = ROWS
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {
        *App.COMMANDS,
        WizardCommands,
    }
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]
    COMMAND_PALETTE_BINDING = "ctrl+p"

    def __init__(
        self,
        document: Document | None = None,
        *,
        outdir: Path | None = None,
        config: Config | None = None,
        session: Session | None = None,
        environment: dict[str, str] | None = None,
        ascii_only: bool = False,
        job: Job | None = None,
        subject: Importable | None = None,
        warnings: Iterable[str] = (),
    ) -> None:
        """Prepares the wizard.

        Args:
            document: What to design; without one the start page asks.
            outdir: Where outputs go unless the user says otherwise.
            config: The user's choices; read from the usual place if left out.
            session: Where the work is kept.
            environment: For tests; `os.environ` if left out.
            ascii_only: Draw with ASCII alone.
            job: What to show on the build screen at once.
            subject: An image to look into, or a file to import, at once.
            warnings: What to tell once the wizard is up.
        """
        self.environment = dict(os.environ) if environment is None else environment
        super().__init__()
        self.config = load_config() if config is None else config
        if not moves(self.environment, self.config):
            self.animation_level = "none"
        self.session = Session() if session is None else session
        self.glyphs = ASCII if ascii_only or self.environment.get("TERM") == "linux" else UNICODE
        self.outdir = Path.cwd() / DEFAULT_OUTDIR if outdir is None else outdir
        self._document = document
        self._job = job
        self._subject = subject
        self._warnings = [*self.config.warnings, *warnings]
        self._autosave: Timer | None = None
        self.register_theme(DARK)
        self.register_theme(LIGHT)

    # ------------------------------------------------------------------ looks

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Gives every theme the colours of volumes."""
        return volume_variables(self.available_themes.get(self.theme))

    def on_mount(self) -> None:
        """Sets theme and keys, and shows the first screen."""
        wanted = preferred(self.environment, self.config.theme)
        self.theme = wanted if wanted in self.available_themes else DARK.name
        self.set_class(self.glyphs is ASCII, "-ascii")
        self._set_keys()
        self.theme_changed_signal.subscribe(self, self._theme_changed)
        self.add_mode("start", self._start_screen)
        if self._job is not None:
            self.call_later(self.show_job, self._job)
        elif self._document is None:
            self.switch_mode("start")
            if self._subject is not None:
                self.call_later(self._show_subject, self._subject)
        else:
            self.post_message(DocumentChosen(self._document))
        for warning in self._warnings:
            self.notify(warning, severity="warning", markup=False)

    def _show_subject(self, subject: Importable) -> None:
        wanted = ImageRequested(subject.path) if subject.is_image else ImportRequested(subject)
        self.post_message(wanted)

    def _theme_changed(self, theme: object) -> None:
        if self.config.theme != self.theme and not self.is_headless:
            self.config.theme = self.theme
            self.config.save()

    def _set_keys(self) -> None:
        known = {key.id for key in KEYS}
        for name in self.config.keys:
            if name not in known:
                self._warnings.append(f"{self.config.file}: no key is called {name!r}")
        self.set_keymap({name: keys for name, keys in self.config.keys.items() if name in known})

    def _start_screen(self) -> StartScreen:
        found = self.session.unfinished()
        return StartScreen(Path.cwd(), self.config.recent, found, self.glyphs)

    def get_key_display(self, binding: Binding) -> str:
        """Writes function keys as they stand on the keyboard."""
        shown = super().get_key_display(binding)
        if shown in _SPELT:
            return _SPELT[shown]
        return shown.upper() if shown[1:].isdigit() else shown

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Adds what has no key of its own: the rest has better names in `WizardCommands`."""
        yield SystemCommand("Theme", "Choose the colours", self.action_change_theme)
        moving = self.animation_level != "none"
        yield SystemCommand(
            "Motion off" if moving else "Motion on",
            "Whether the map moves from one plan to the next",
            self._toggle_motion,
        )
        yield SystemCommand(
            "Look into an image",
            "Partitions, file systems and files, without mounting",
            lambda: self.post_message(ImageRequested()),
        )
        yield SystemCommand(
            "Write an image to a disk",
            "To a stick, a card or a disk, read back while it is written",
            lambda: self.post_message(FlashRequested()),
        )
        yield SystemCommand(
            "Compare two images",
            "Every field, file and byte in which they differ",
            lambda: self.post_message(ComparisonRequested()),
        )

    def _toggle_motion(self) -> None:
        self.config.motion = self.animation_level == "none"
        self.animation_level = "basic" if self.config.motion else "none"
        self.config.save()

    # ------------------------------------------------------------------ documents

    @property
    def designing(self) -> DesignScreen | None:
        """The design screen, if there is one."""
        for stack in self._screen_stacks.values():
            for screen in stack:
                if isinstance(screen, DesignScreen):
                    return screen
        return None

    @on(DocumentChosen)
    @work(group="dialog", exclusive=True)
    async def _document_chosen(self, message: DocumentChosen) -> None:
        if message.asks and not await self._is_safe("Design another image?"):
            return
        found = await self._resumed(message.document)
        if found is None:
            self.design(message.document, message.step, message.outdir)
            return
        try:
            self.design(resume(found), found.saved.step, Path(found.saved.outdir))
        except OSError as error:
            self.notify(str(error), severity="warning", markup=False)
            self.design(message.document, message.step, message.outdir)

    async def _resumed(self, document: Document) -> UnfinishedSession | None:
        """Offers changes of the file that a session left unsaved. Must run in a worker."""
        for found in self.session.unfinished_of(document):
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.saved.time))
            title = f"Unsaved changes from {when}"
            answer = "compare"
            while answer == "compare":
                answer = await self.push_screen_wait(
                    ConfirmScreen(
                        title,
                        f"The wizard ended without saving {document.name}.",
                        (("resume", "Resume"), ("compare", "Differences"), ("discard", "Discard")),
                    )
                )
                if answer == "compare":
                    names = ("the file", "unsaved")
                    lines = differing_lines(document.text or "", found.saved.spec, names)
                    await self.push_screen_wait(DifferencesScreen(title, lines))
            if answer == "resume":
                return found
            discard(found)
        return None

    @work(group="modes", exclusive=True)
    async def design(
        self, document: Document, step: str = "layout", outdir: Path | None = None
    ) -> None:
        """Shows the design screen of a document; what was designed before must be safe."""
        if "design" in self._modes:
            if self.current_mode == "design":
                await self.switch_mode("start")
            await self.remove_mode("design")
        if document.path is not None:
            self.config.remember(document.path)
        planner = Planner(document.base, self.environment)
        screen = partial(
            DesignScreen,
            document,
            planner,
            outdir=outdir or self.outdir,
            glyphs=self.glyphs,
            step=step,
        )
        self.add_mode("design", screen)
        await self.switch_mode("design")

    @on(StartRequested)
    @work(group="dialog", exclusive=True)
    async def start_requested(self) -> None:
        """Shows the start page anew, once what is designed is safe."""
        if await self._is_safe("Go to the start page?"):
            self.session.end()
            await self.switch_mode("start")

    @on(SaveRequested)
    @work(group="dialog", exclusive=True)
    async def save_requested(self, message: SaveRequested) -> None:
        """Saves the document."""
        await self._save(ask=message.ask)

    async def _save(self, *, ask: bool) -> bool:
        """Saves; whether that worked. Must run in a worker."""
        screen = self.designing
        if screen is None:
            return False
        document = screen.document
        path = document.path
        if ask or path is None:
            default = str(path) if path else f"{screen.spec.name or 'disk'}.toml"
            answer = await self.push_screen_wait(
                AskScreen("Save the spec", "As a TOML file:", default, "Save")
            )
            if not answer:
                return False
            path = typed_path(document.base, answer)
            if path.exists() and path != document.path:
                question = ConfirmScreen(
                    "Replace the file?", f"{path} exists.", (("no", "Keep it"), ("yes", "Replace"))
                )
                if await self.push_screen_wait(question) != "yes":
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
            self.bell()
            return False
        self.config.remember(path)
        screen.say(f"Saved {path}")
        screen.watch_preview(screen.preview)
        return True

    async def _overwrites(self, screen: DesignScreen, path: Path) -> bool:
        """Asks what to do about a file that others changed; whether to overwrite it."""
        answer = "compare"
        while answer == "compare":
            answer = await self.push_screen_wait(
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
                await self.push_screen_wait(DifferencesScreen(str(path), lines))
        if answer == "reload":
            try:
                self.design(open_document(path), screen.step, Path(screen.outdir))
            except Refused as refused:
                screen.say(f"Not reloaded: {refused.problems[0].line()}")
                self.bell()
        return answer == "overwrite"

    async def _is_safe(self, title: str) -> bool:
        """Asks about unsaved work; whether to go on. Must run in a worker."""
        screen = self.designing
        if screen is None or screen.is_saved:
            return True
        answer = await self.push_screen_wait(
            ConfirmScreen(
                title,
                f"{screen.document.name} has changes that are not saved.",
                (("stay", "Stay"), ("save", "Save"), ("discard", "Discard")),
            )
        )
        if answer == "save":
            return await self._save(ask=False)
        return answer == "discard"

    @on(DocumentChanged)
    def _document_changed(self) -> None:
        if self._autosave is not None:
            self._autosave.stop()
        self._autosave = self.set_timer(AUTOSAVE_DELAY, self._keep)

    def _keep(self) -> None:
        screen = self.designing
        if screen is None:
            return
        if screen.is_saved:
            self.session.end()
        else:
            self.session.keep(screen.document, screen.spec, screen.step, screen.outdir)

    # ------------------------------------------------------------------ help

    def action_explain(self) -> None:
        """Explains the focused thing."""
        if isinstance(self.screen, HelpScreen):
            return
        self.push_screen(HelpScreen(*help_for(self)))

    # ------------------------------------------------------------------ leaving

    async def action_quit(self) -> None:
        """Asks where something would be lost, then leaves nothing running."""
        self._quit_flow()

    @work(group="dialog", exclusive=True)
    async def _quit_flow(self) -> None:
        building = self.is_building
        if building:
            answer = await self.push_screen_wait(
                ConfirmScreen(
                    "A build is running",
                    "Quitting cancels it; nothing partial is left behind.",
                    (("stay", "Keep building"), ("quit", "Cancel and quit")),
                )
            )
            if answer != "quit":
                return
        if self.is_flashing:
            question = ConfirmScreen(
                "A disk is being written",
                "Quitting stops it; the disk is then incomplete and has no partition table.",
                (("stay", "Keep writing"), ("quit", "Stop and quit")),
            )
            if await self.push_screen_wait(question) != "quit":
                return
        if not await self._is_safe("Quit?"):
            return
        await self.end_build()
        self.session.end()
        self.exit(CANCELLED if building else 0, return_code=CANCELLED if building else 0)

    def watch_signals(self) -> None:
        """Ends as asked when the terminal closes or somebody sends SIGTERM."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._terminated, number)

    @work(group="terminate", exclusive=True)
    async def _terminated(self, number: int) -> None:
        self._keep()
        await self.end_build()
        self.exit(CANCELLED, return_code=CANCELLED)

    def _handle_exception(self, error: Exception) -> None:
        """Keeps the work and reports calmly instead of showing a traceback."""
        if self.is_headless:
            super()._handle_exception(error)
            return
        if self._exception is not None:
            return
        self._exception = error
        self._exception_event.set()
        self._keep()
        report = write_report(self.session.folder, error)
        self.panic(
            Text(
                "Diskwright came upon a fault of its own and had to stop.\n"
                "Your design is kept: the next start offers to resume it.\n"
                f"A report is in {report}"
            )
        )
        self._return_code = CRASHED


def run(spec_path: Path | None = None, *, ascii_only: bool = False) -> int:
    """Opens the wizard.

    Args:
        spec_path: A spec, an image or a file to import; the start page otherwise.
        ascii_only: Draw with ASCII alone.

    Returns:
        The exit status.

    Raises:
        Refused: It cannot be opened.
    """
    found = None if spec_path is None else opened(spec_path)
    document = found if isinstance(found, Document) else None
    subject = found if isinstance(found, Importable) else None
    app = _Terminal(document, subject=subject, ascii_only=ascii_only)
    app.run()
    return app.return_code or 0


def replay(events: Sequence[AnyEvent], *, pace: float = 1.0) -> int:
    """Shows a recorded build on the build screen.

    Args:
        events: From `engine.pipeline.replay.read_record`.
        pace: How many times as fast; 0 without pauses.

    Returns:
        The exit status.
    """
    app = _Terminal(job=ReplayJob(events, pace=pace, title="the record"))
    app.run()
    return app.return_code or 0


class _Terminal(DiskwrightApp):
    """The wizard on a real terminal, which can be closed."""

    def on_ready(self) -> None:
        """Listens to signals once the loop runs."""
        self.watch_signals()


__all__ = ["DiskwrightApp", "Refused", "run"]

"""The wizard: modes, themes, keys, quitting, and what happens when something breaks."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, cast

from rich.text import Text
from textual import events, on, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender

from engine.cli import exits
from engine.flash.machine import Machine
from tui.bridge import Job
from tui.building import Builds
from tui.commands import WizardCommands, without_keys
from tui.config import Config, load_config, moves
from tui.document import Document
from tui.documents import Documents
from tui.fields import DEFAULT_OUTDIR
from tui.fleets import FleetSession
from tui.glyphs import ASCII, UNICODE
from tui.help import KeyHelp, help_for, keys_of
from tui.keys import KEYS, bindings
from tui.looking import compare_two, import_subject, look_into, write_to_disk
from tui.opening import Fleet, Importable
from tui.quitting import ask_to_quit
from tui.report import write_report
from tui.screens.build import BuildScreen
from tui.screens.design import DesignScreen
from tui.screens.dialogs import HelpScreen, KeysScreen
from tui.screens.fleet import FleetScreen
from tui.screens.messages import (
    BootRequested,
    BuildRequested,
    ComparisonRequested,
    DocumentChanged,
    DocumentChosen,
    FlashRequested,
    FleetRequested,
    ImageRequested,
    ImportRequested,
    SaveRequested,
    StartRequested,
)
from tui.screens.start import StartScreen
from tui.session import Session
from tui.stylesheet import COLUMNS, ROWS, SharedStylesheet, class_for
from tui.terminal import read_alt_digits
from tui.text import visible
from tui.theme import DARK, LIGHT, preferred, volume_variables

_SPELT = {"⏎": "enter", "⌫": "bksp"}
"""Keys whose glyphs not every terminal has."""


class _BlockScrollBar(ScrollBarRender):
    """A scroll bar of whole cells: no glyph that a terminal may lack."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


ScrollBar.renderer = _BlockScrollBar
read_alt_digits()


class DiskwrightApp(App[int]):
    """Start, design and build are modes: a build runs on while the design is looked at.

    Messages go to what does the work: `documents`, `builds`, and `tui.looking`.
    """

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

    machine = Machine()
    """Whose disks are offered; another one in tests and pictures."""

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
        subject: Importable | Fleet | FleetSession | None = None,
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
            subject: An image to look into, a fleet, or a file to import, at once.
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
        self.documents = Documents(
            self,
            config=self.config,
            session=self.session,
            environment=self.environment,
            glyphs=self.glyphs,
            outdir=self.outdir,
        )
        self.builds = Builds(self, self.glyphs, self._saved_as)
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.stylesheet = SharedStylesheet(variables=self.get_css_variables())

    def _saved_as(self) -> Path | None:
        return None if self.designing is None else self.designing.document.path

    # ------------------------------------------------------------------ looks

    def add_mode(self, mode: str, base_screen: str | Callable[[], Screen[Any]]) -> None:
        """Adds a mode whose screen has the classes of the terminal's size from the first.

        Textual gives it these once it stands, and then every widget's styles are worked out again.
        """

        def fitting(make: Callable[[], Screen[Any]]) -> Screen[Any]:
            return self._fit(make())

        if not isinstance(base_screen, str):
            base_screen = partial(fitting, base_screen)
        super().add_mode(mode, base_screen)

    def push_screen(self, screen: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401
        """Shows a dialog; what it scrolls to depends on the size that it has from the first."""
        return super().push_screen(
            screen if isinstance(screen, str) else self._fit(screen), *rest, **options
        )

    def _fit(self, screen: Screen[Any]) -> Screen[Any]:
        screen.add_class(class_for(self.size.width, COLUMNS))
        screen.add_class(class_for(self.size.height, ROWS))
        return screen

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Gives every theme the colours of volumes."""
        return volume_variables(self.available_themes.get(self.theme))

    def on_mount(self) -> None:
        wanted = preferred(self.environment, self.config.theme)
        self.theme = wanted if wanted in self.available_themes else DARK.name
        self.set_class(self.glyphs is ASCII, "-ascii")
        self._set_keys()
        self.theme_changed_signal.subscribe(self, self._theme_changed)
        self.add_mode("start", self._start_screen)
        if self._job is not None:
            self.call_later(self.builds.show, self._job)
        elif self._document is None:
            self.switch_mode("start")
            if self._subject is not None:
                self.call_later(self._show_subject, self._subject)
        else:
            self.post_message(DocumentChosen(self._document))
        for warning in self._warnings:
            self.notify(warning, severity="warning", markup=False)

    def _show_subject(self, subject: Importable | Fleet | FleetSession) -> None:
        if isinstance(subject, FleetSession):
            self._show_fleet(subject)
        elif isinstance(subject, Fleet):
            self.post_message(FleetRequested(subject.path))
        elif subject.is_image:
            self.post_message(ImageRequested(subject.path))
        else:
            self.post_message(ImportRequested(subject))

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
        return StartScreen(Path.cwd(), self.config, found, self.glyphs)

    def get_key_display(self, binding: Binding) -> str:
        """Writes function keys as they stand on the keyboard."""
        shown = super().get_key_display(binding)
        if shown in _SPELT:
            return _SPELT[shown]
        return shown.upper() if shown[1:].isdigit() else shown

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Adds what has no key of its own: the rest has better names in `WizardCommands`."""
        yield from without_keys(self, self._toggle_motion)

    def _toggle_motion(self) -> None:
        self.config.motion = self.animation_level == "none"
        self.animation_level = "basic" if self.config.motion else "none"
        self.config.save()

    # ------------------------------------------------------------------ documents

    async def on_event(self, event: events.Event) -> None:
        typed = isinstance(event, events.Key | events.Paste) and not event.is_forwarded
        screen = self.screen_stack[-1] if typed and self.screen_stack else None
        if isinstance(screen, DesignScreen) and screen.held.takes(event):
            return
        await super().on_event(event)

    @property
    def designing(self) -> DesignScreen | None:
        """The design screen, if there is one."""
        return self.documents.screen

    @on(DocumentChosen)
    def _document_chosen(self, message: DocumentChosen) -> None:
        self._in_dialog(self.documents.choose, message)

    @work(group="modes", exclusive=True)
    async def design(
        self, document: Document, step: str = "layout", outdir: Path | None = None
    ) -> None:
        """Shows the design screen of a document; what was designed before must be safe."""
        await self.documents.design(document, step, outdir)

    @on(StartRequested)
    @on(BuildScreen.StartWanted)
    def _start_requested(self) -> None:
        self._in_dialog(self.documents.start)

    @on(SaveRequested)
    def _save_requested(self, message: SaveRequested) -> None:
        self._in_dialog(partial(self.documents.save, ask=message.ask))

    @on(DocumentChanged)
    def _document_changed(self) -> None:
        self.documents.changed()

    def _in_dialog(self, work: Callable[..., Awaitable[object]], *args: object) -> None:
        """Runs what waits for answers; a later question takes the place of an earlier one."""
        self._work("dialog", work, *args)

    def _work(self, group: str, work: Callable[..., Awaitable[object]], *args: object) -> None:
        # Called when it starts: what a later one overtakes before that is never made. mypy cannot
        # tell a function that returns a coroutine from one that returns anything.
        self.run_worker(cast("Any", partial(work, *args)), group=group, exclusive=True)

    # ------------------------------------------------------------------ looking

    @on(ImageRequested)
    def _image_requested(self, message: ImageRequested) -> None:
        self._work("looking", look_into, self, self.glyphs, message.path)

    @on(FlashRequested)
    def _flash_requested(self, message: FlashRequested) -> None:
        self._work("looking", write_to_disk, self, self.glyphs, message.path, self.machine)

    @on(BootRequested)
    def _boot_requested(self, message: BootRequested) -> None:
        self.builds.boot(message.path)

    @on(FleetRequested)
    def _fleet_requested(self, message: FleetRequested) -> None:
        self._show_fleet(FleetSession(message.path, self.outdir))

    def _show_fleet(self, session: FleetSession) -> None:
        self.push_screen(FleetScreen(session, self.glyphs))

    @on(ImportRequested)
    def _import_requested(self, message: ImportRequested) -> None:
        self._work("looking", import_subject, self, self.glyphs, message.subject)

    @on(ComparisonRequested)
    def _comparison_requested(self) -> None:
        self._work("looking", compare_two, self, self.glyphs)

    # ------------------------------------------------------------------ builds

    @on(BuildRequested)
    def _build_requested(self, message: BuildRequested) -> None:
        self._in_dialog(self.builds.request, message)

    @on(BuildScreen.VerbWanted)
    def _verb_wanted(self, message: BuildScreen.VerbWanted) -> None:
        self._in_dialog(self.builds.verb, message)

    @on(BuildScreen.Made)
    def _image_made(self, message: BuildScreen.Made) -> None:
        self.config.remember_image(message.image)

    @on(BuildScreen.Retry)
    def _retry(self) -> None:
        if self.designing is not None:
            self.switch_mode("design")
            self.designing.build()

    @on(BuildScreen.FieldWanted)
    async def _field_wanted(self, message: BuildScreen.FieldWanted) -> None:
        if self.designing is not None:
            await self.switch_mode("design")
            await self.designing.go_to(message.path)

    @on(BuildScreen.TitleChanged)
    def _title_changed(self, message: BuildScreen.TitleChanged) -> None:
        """Sets the title of the terminal's window (xterm's OSC 0)."""
        if self._driver is not None and not self.is_headless and not self.is_web:
            self._driver.write(f"\x1b]0;{visible(message.title)}\x07")

    # ------------------------------------------------------------------ help

    def action_explain(self) -> None:
        """Explains the focused thing."""
        if isinstance(self.screen, HelpScreen):
            return
        self.push_screen(HelpScreen(*help_for(self)))

    def action_keys(self) -> None:
        """Lists the keys of the page, each with a letter that does the same."""

        def act(key: KeyHelp | None) -> None:
            if key is not None:
                self.call_later(self.run_action, *key.action)

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(KeysScreen(keys_of(self)), act)

    # ------------------------------------------------------------------ leaving

    async def action_quit(self) -> None:
        """Asks where something would be lost, then leaves nothing running."""
        self._quit_flow()

    @work(group="dialog", exclusive=True)
    async def _quit_flow(self) -> None:
        status = await ask_to_quit(self, self.builds, self.documents)
        if status is None:
            return
        await self.builds.end()
        self.session.end()
        self.exit(status, return_code=status)

    def _handle_exception(self, error: Exception) -> None:
        """Keeps the work and reports calmly instead of showing a traceback."""
        if self.is_headless:
            super()._handle_exception(error)
            return
        if self._exception is not None:
            return
        self._exception = error
        self._exception_event.set()
        self.documents.keep()
        report = write_report(self.session.folder, error)
        self.panic(
            Text(
                "Diskwright came upon a fault of its own and had to stop.\n"
                "Your design is kept: the next start offers to resume it.\n"
                f"A report is in {report}"
            )
        )
        self._return_code = exits.INTERNAL

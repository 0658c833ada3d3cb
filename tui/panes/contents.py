"""Contents: the entries of the image, each with what was found for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.widgets import Button, DataTable, Input

from engine.spec.model import Content as Entry
from engine.spec.model import Nix
from engine.spec.settings import Settings
from engine.units import human, sized
from tui.keys import bindings
from tui.panes.base import Pane
from tui.preview import Preview
from tui.screens.closure import ClosureScreen
from tui.screens.entry import EntryScreen
from tui.screens.filing import FilingScreen
from tui.screens.usage import UsageScreen
from tui.text import counted
from tui.volumes import holds_files
from tui.widgets.entry_table import EntryTable, sentence
from tui.widgets.field import Field
from tui.widgets.inputs import SafeInput
from tui.widgets.labels import Plain
from tui.widgets.messages import ContentsEdited
from tui.widgets.suggest import PathSuggester

NIX_FIELDS = (
    "nix.system",
    "nix.additional_paths",
    "nix.only_store",
    "nix.config_file",
    "nix.copy_channel",
    "nix.store",
)
"""In the order of the form; all but the first stand there once one of them is used."""


_MANY = 10
"""Entries from which on the line below the table says where in them one is."""


class ContentsPane(Pane):
    """Decides what is in the image; its keys act on the row under the cursor."""

    HELP = """
# Contents

Each row copies a file, a folder, a glob or an archive into the image, in this order; a later
row may put files into a folder an earlier one made.

`/` shows only the entries with a text in them; Escape shows all again.

A source folder that ends in `/` gives its contents, otherwise itself. Nothing is copied now:
sources are read when the image is built, and the build stops if they changed meanwhile.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("contents")

    STEP = "contents"
    TITLE = "Contents"
    LEAD = "What is copied into the image, and as whom."

    _panes: FilingScreen | None = None

    @staticmethod
    def choice(preview: Preview, settings: Settings) -> str:
        """How many files there are."""
        if preview.scanning:
            return "scanning"
        if preview.plan is None:
            return ""
        files = preview.plan.counts.files
        return counted(files, "file") if files else "empty"

    def form(self) -> ComposeResult:
        yield EntryTable(self.glyphs, id="entries")
        keep = SafeInput(placeholder="Show entries with", compact=True, id="entries-keep")
        keep.display = False
        yield keep
        yield Plain("", id="entry-line")
        yield Plain("", id="entries-empty")
        with Horizontal(id="entry-actions"):
            yield Button("Add (a)", id="entry-add", compact=True)
            yield Button("Edit (e)", id="entry-edit", compact=True)
            yield Button("Remove (x)", id="entry-remove", compact=True)
            yield Button("Largest (u)", id="entry-usage", compact=True)
            yield Button("Panes (p)", id="entry-panes", compact=True)
        yield Plain("", id="contents-sum")
        yield Plain("NixOS", classes="section")
        yield Plain("", id="nix-closure")
        with Horizontal(id="nix-actions"):
            yield Button("Closure (c)", id="entry-closure", compact=True)
        for path in NIX_FIELDS:
            yield self.field(path, suggester=PathSuggester(self.base))

    def watch_preview(self, preview: Preview) -> None:
        super().watch_preview(preview)
        if self._panes is not None:
            self._panes.preview = preview

    @on(Button.Pressed, "#entry-panes")
    def action_panes(self) -> None:
        """Shows source and image side by side."""

        def add(entry: Entry) -> None:
            self._edited([*self.entries, entry], "copy")

        def undo() -> None:
            self.call_later(self.screen.run_action, "undo")

        def closed(_: None) -> None:
            self._panes = None
            self.show(self.preview)

        self._panes = FilingScreen(self.base, self.preview, self.glyphs, add=add, undo=undo)
        self.app.push_screen(self._panes, closed)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The entries of the spec."""
        return self.preview.spec.contents

    @property
    def row(self) -> int:
        """The entry under the cursor; -1 where there is none."""
        return self.query_one(EntryTable).chosen

    def show(self, preview: Preview) -> None:
        """Fills the table and the sum."""
        super().show(preview)
        table = self.query_one(EntryTable)
        table.display = bool(preview.spec.contents)
        table.fill(preview)
        self._tell_row()
        used = preview.spec.nix != Nix()
        for field in self.query(Field):
            field.display = used or field.spec.path == "nix.system"
        closure = preview.closure
        self.query_one("#nix-actions").display = closure is not None
        line = self.query_one("#nix-closure", Plain)
        line.display = closure is not None
        if closure is not None:
            size = sum(path.nar_size for path in closure.paths)
            line.show(f"{len(closure):,} store paths, {sized(size)}")
        empty = self.query_one("#entries-empty", Plain)
        empty.display = not preview.spec.contents and preview.closure is None
        empty.show("Nothing yet: the image would be empty. Press a to add a folder or an archive.")
        self.query_one("#contents-sum", Plain).show(self._sum(preview))

    @on(DataTable.RowHighlighted)
    def _tell_row(self) -> None:
        line = self.query_one("#entry-line", Plain)
        line.display = bool(self.entries)
        text = sentence(self.preview, self.row)
        many = len(self.entries) >= _MANY
        table = self.query_one(EntryTable)
        if table.text:
            text = f"{len(table.shown_entries)} of {len(self.entries)} shown. {text}"
        elif many:
            text = f"{self.row + 1} of {len(self.entries)}. {text}"
        line.show(text)

    # ------------------------------------------------------------------ the filter

    def action_keep(self) -> None:
        """Asks for the text that entries must have."""
        box = self.query_one("#entries-keep", Input)
        box.display = True
        box.focus()
        self.refresh_bindings()

    def action_all(self) -> None:
        """Shows all entries again."""
        box = self.query_one("#entries-keep", Input)
        box.value = ""
        box.display = False
        self.query_one(EntryTable).focus()

    @on(Input.Changed, "#entries-keep")
    def _kept(self, event: Input.Changed) -> None:
        event.stop()
        table = self.query_one(EntryTable)
        table.text = event.value
        table.fill(self.preview)
        self._tell_row()

    @on(Input.Submitted, "#entries-keep")
    def _searched(self, event: Input.Submitted) -> None:
        event.stop()
        event.prevent_default()  # that of panes goes to the next field
        self.query_one(EntryTable).focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "keep":
            return bool(self.entries)
        if action == "all":
            return bool(self.query_one("#entries-keep").display)
        return super().check_action(action, parameters)

    def _sum(self, preview: Preview) -> str:
        if preview.scanning:
            return f"Scanning: {preview.entries:,} entries, {human(preview.bytes)} so far"
        if preview.plan is None:
            return ""
        counts = preview.plan.counts
        return (
            f"In the image: {counted(counts.files, 'file')}, "
            f"{counted(counts.directories, 'folder')}, {counted(counts.symlinks, 'link')}, "
            f"{sized(counts.data_bytes)}"
        )

    def focus_path(self, path: str) -> bool:
        """Puts the cursor on the entry of a key path."""
        if not path.startswith("contents"):
            return super().focus_path(path)
        table = self.query_one(EntryTable)
        if self.entries:
            self.action_all()
            digits = path.partition("[")[2].partition("]")[0]
            if digits.isdigit():
                table.choose(int(digits))
        else:
            self.query_one("#entry-add").focus()
        return True

    def _edited(self, entries: list[Entry], name: str) -> None:
        self.post_message(ContentsEdited(tuple(entries), name))

    @on(Button.Pressed, "#entry-add")
    def action_add(self) -> None:
        """Asks for a new entry and puts it after the cursor."""

        def put(entry: Entry | None) -> None:
            if entry is not None:
                entries = list(self.entries)
                entries.insert(self.row + 1 if entries else 0, entry)
                self._edited(entries, "add entry")

        self._ask(None, put)

    def _ask(self, entry: Entry | None, put: Callable[[Entry | None], None]) -> None:
        settings = self.preview.settings
        volumes = tuple(
            volume.id
            for volume in (() if settings is None else settings.volumes)
            if holds_files(volume.format)
        )
        self.app.push_screen(EntryScreen(entry, self.base, self.glyphs, volumes=volumes), put)

    @on(Button.Pressed, "#entry-edit")
    @on(DataTable.RowSelected)
    def action_edit(self) -> None:
        """Asks for new values of the entry under the cursor."""
        row = self.row
        if row < 0:
            return

        def put(entry: Entry | None) -> None:
            if entry is not None:
                entries = list(self.entries)
                entries[row] = entry
                self._edited(entries, "edit entry")

        self._ask(self.entries[row], put)

    def action_duplicate(self) -> None:
        """Puts a copy below."""
        if self.row >= 0:
            entries = list(self.entries)
            entries.insert(self.row, entries[self.row])
            self._edited(entries, "duplicate entry")

    @on(Button.Pressed, "#entry-remove")
    def action_remove(self) -> None:
        """Removes the entry under the cursor; undo brings it back."""
        if self.row >= 0:
            entries = list(self.entries)
            del entries[self.row]
            self._edited(entries, "remove entry")

    def action_move(self, by: int) -> None:
        """Moves the entry under the cursor, and the cursor with it."""
        row, goal = self.row, self.row + by
        if row < 0 or not 0 <= goal < len(self.entries):
            return
        entries = list(self.entries)
        entries[row], entries[goal] = entries[goal], entries[row]
        self._edited(entries, "move entry")
        self.call_after_refresh(self.query_one(EntryTable).choose, goal)

    @on(Button.Pressed, "#entry-usage")
    def action_usage(self) -> None:
        """Opens the tree of what is large."""
        plan = self.preview.plan
        if plan is None or self.preview.scanning or not plan.has_root:
            self.app.bell()
            return
        self.app.push_screen(UsageScreen(plan, self.glyphs))

    @on(Button.Pressed, "#entry-closure")
    def action_closure(self) -> None:
        """Opens the tree of store paths."""
        if self.preview.closure is None:
            self.app.bell()
            return
        self.app.push_screen(ClosureScreen(self.preview.closure, self.glyphs))

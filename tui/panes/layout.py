"""Layout: the partition table, and the volumes of the disk."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Button, DataTable

from engine.disk.presets import PRESETS, Preset
from engine.disk.volume import Volume
from engine.plan.model import Plan
from engine.spec.filesystems import FILESYSTEMS
from engine.spec.model import ImageSpec, VolumeEntry
from engine.spec.settings import Settings
from engine.spec.volume_edits import VolumeEdit, add, entry_of, move, put, remove, seal, take_table
from tui.keys import bindings
from tui.panes.base import Pane
from tui.preview import Preview
from tui.screens.dialogs import ConfirmScreen
from tui.screens.kind import KindScreen
from tui.screens.volume import VolumeScreen
from tui.text import visible
from tui.volume_form import VolumeForm
from tui.volumes import SEALING, Kind, kinds, outcome, sentence
from tui.widgets.choices import Choice, Choices
from tui.widgets.drawing import draw
from tui.widgets.labels import Plain
from tui.widgets.messages import VolumeLookedAt, VolumesEdited
from tui.widgets.volume_table import VolumeTable

READ_ONLY = ("erofs", "squashfs")
"""Formats of a root that is only read."""
_FIRMWARE = {"bios": "BIOS", "uefi": "UEFI"}


class LayoutPane(Pane):
    """Decides how the disk is divided.

    Attributes:
        trial: Answers what an edit of the volumes would lead to; None where nobody can tell.
    """

    HELP = """
# Volumes

Every volume in disk order: those of the layout, and your own. Beside the rule of each size is what
it comes to, and how many files the contents put there.

An edit moves the map at once; Ctrl+Z takes it back. A layout whose own volumes change places or
go becomes a list of your own: a GPT or an MBR with the same volumes.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("volumes")

    STEP = "layout"
    TITLE = "Layout"
    LEAD = "Partition layout. It decides which firmware can boot the disk."

    trial: Callable[[VolumeEdit], Plan | None] | None = None

    @staticmethod
    def choice(preview: Preview, settings: Settings) -> str:
        """The table, and the volumes that are one's own."""
        preset = PRESETS[settings.layout.table]
        own = {volume.role for volume in preset.volumes}
        more = ", ".join(volume.id for volume in settings.volumes if volume.id not in own)
        title = preset.scheme.upper() if preset.own else preset.title
        joint = ": " if preset.own else " + "
        return f"{title}{joint}{more}" if more else title

    def form(self) -> ComposeResult:
        yield Choices(
            tuple(
                Choice(key, layout.title, detail=_boots(layout), drawing=draw(layout, 20))
                for key, layout in PRESETS.items()
            ),
            glyphs=self.glyphs,
            id="table",
            help_text=_guide(),
        )
        yield Plain("", id="table-why")
        yield Plain("Volumes", classes="section")
        yield VolumeTable(self.glyphs, id="volumes")
        yield Plain("", id="volume-line")
        with Horizontal(id="volume-actions"):
            yield Button("Add (a)", id="volume-add", compact=True)
            yield Button("Edit (e)", id="volume-edit", compact=True)
            yield Button("Remove (x)", id="volume-remove", compact=True)
            yield Button("Up (k)", id="volume-up", compact=True)
            yield Button("Down (j)", id="volume-down", compact=True)
        yield Plain("Root file system", classes="section")
        yield self.field("layout.filesystem")
        yield self.field("layout.label")
        yield self.field("layout.sector_size")
        yield self.field("layout.fstab")
        yield self.field("layout.pmbr_boot")

    def show(self, preview: Preview) -> None:
        """Shows the layout taken, and what is wrong with it."""
        super().show(preview)
        if preview.settings is not None:
            self.query_one("#table", Choices).chosen = preview.settings.layout.table
            self._explain(preview.settings.layout.table)
        self.table.fill(preview)
        self._tell_row()
        if self.table.has_focus:
            self.call_after_refresh(self._keep_in_sight)

    @property
    def table(self) -> VolumeTable:
        """The table of volumes."""
        return self.query_one(VolumeTable)

    @property
    def chosen(self) -> Volume | None:
        """The volume under the cursor of the table."""
        settings = self.preview.settings
        there = () if settings is None else settings.volumes
        return next((one for one in there if one.id == self.table.chosen), None)

    @on(DataTable.RowHighlighted)
    def _tell_row(self) -> None:
        line = self.query_one("#volume-line", Plain)
        line.show(
            sentence(self.preview, self.table.chosen)
            or "Nothing yet: press a to add a volume, or take a layout above."
        )
        if self.table.has_focus and self.table.chosen:
            self.post_message(VolumeLookedAt(self.table.chosen))

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        super().on_descendant_focus(event)
        if event.widget is self.table:
            self._keep_in_sight()

    def _keep_in_sight(self) -> None:
        self.query_one("#volume-actions").scroll_visible(animate=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in {"edit", "remove", "move"}:
            return self.table.has_focus
        return super().check_action(action, parameters)

    def _edit(self, edit: VolumeEdit, name: str) -> None:
        self.post_message(VolumesEdited(edit, name))

    @on(Button.Pressed, "#volume-add")
    def action_add(self) -> None:
        """Asks what to add, then how."""
        settings = self.preview.settings
        if settings is None:
            self.app.bell()
            return

        def ask(kind: Kind | None) -> None:
            if kind is not None and kind.seals:
                self._seal(kind.seals)
            elif kind is not None:
                self._ask(kind.entry, None, lambda entry: partial(_add, entry=entry), "add")

        self.app.push_screen(KindScreen(kinds(settings, self.preview.plan)), ask)

    def _seal(self, root: str) -> None:
        """Asks for the format of a read-only root, then makes it one."""

        def take(format_: str | None) -> None:
            if format_ in READ_ONLY:
                self._edit(partial(seal, name=root, filesystem=format_), "read-only root")
                self.table.want(root)
                self.table.focus()

        answers = (("cancel", "Cancel"), *((key, FILESYSTEMS[key].title) for key in READ_ONLY))
        self.app.push_screen(ConfirmScreen("Read-only root", SEALING, answers), take)

    @on(Button.Pressed, "#volume-edit")
    @on(DataTable.RowSelected)
    def action_edit(self) -> None:
        """Asks for other values of the volume under the cursor."""
        volume = self.chosen
        if volume is None:
            self.app.bell()
            return
        entry = entry_of(self.preview.spec, volume.id)
        self._ask(entry, volume, lambda made: partial(put, name=volume.id, entry=made), "edit")

    def _ask(
        self,
        entry: VolumeEntry,
        volume: Volume | None,
        edit: Callable[[VolumeEntry], VolumeEdit],
        verb: str,
    ) -> None:
        settings = self.preview.settings
        assert settings is not None

        def gives(made: VolumeEntry) -> str:
            return "" if self.trial is None else outcome(self.trial(edit(made)), made.id)

        def take(made: VolumeEntry | None) -> None:
            if made is not None:
                self._edit(edit(made), f"{verb} {made.id}")
                self.table.want(made.id)
                self.table.focus()

        own = {one.role for one in PRESETS[settings.layout.table].volumes}
        form = VolumeForm(
            entry,
            volume,
            others=tuple(one.id for one in settings.volumes if one is not volume),
            fixed_id=volume is not None and volume.id in own,
            gpt=settings.scheme == "gpt",
        )
        self.app.push_screen(
            VolumeScreen(form, gives=gives, base=self.base, glyphs=self.glyphs), take
        )

    @on(Button.Pressed, "#volume-remove")
    def action_remove(self) -> None:
        """Removes the volume under the cursor; undo brings it back."""
        volume = self.chosen
        if volume is not None:
            self._edit(partial(remove, name=volume.id), f"remove {volume.id}")

    @on(Button.Pressed, "#volume-up")
    def _up(self) -> None:
        self.action_move(-1)

    @on(Button.Pressed, "#volume-down")
    def _down(self) -> None:
        self.action_move(1)

    def action_move(self, by: int) -> None:
        """Moves the volume under the cursor on the disk, and the cursor with it."""
        volume = self.chosen
        if volume is None or not volume.partitioned:
            # What lies outside of partitions lies where its offset says.
            self.app.bell()
            return
        self._edit(partial(move, name=volume.id, by=by), f"move {volume.id}")

    @on(Choices.Highlighted, "#table")
    def _looked_at(self, event: Choices.Highlighted) -> None:
        self._explain(event.value)

    def _explain(self, table: str) -> None:
        layout = PRESETS.get(table)
        if layout is None:
            return
        problem = self.preview.problem_at("layout.table")
        lines = [
            Content.assemble((f"{layout.title}: ", "bold"), f"{layout.summary}."),
            Content(f"{layout.why} {layout.beware}".strip()),
        ]
        if problem is not None:
            mark = self.glyphs.state(problem.severity)
            style = f"$state-{problem.severity}"
            lines.append(Content.styled(f"{mark} {visible(problem.message)}", style))
        self.query_one("#table-why", Plain).show(Content("\n").join(lines))

    @on(Choices.Chosen, "#table")
    def _taken(self, event: Choices.Chosen) -> None:
        event.stop()
        self._edit(partial(take_table, table=event.value), "layout")

    def focus_path(self, path: str) -> bool:
        """Also knows the layout and the volumes."""
        settings = self.preview.settings
        if path.startswith("volume"):
            for volume in () if settings is None else settings.volumes:
                if volume.path and path.startswith((f"{volume.path}.", f"{volume.path}[")):
                    self.table.want(volume.id)
            self.table.focus()
            return True
        if path in {"layout", "layout.table"}:
            self.query_one("#table").focus()
            return True
        return super().focus_path(path)


def _add(spec: ImageSpec, _settings: Settings, entry: VolumeEntry) -> ImageSpec:
    return add(spec, entry)


def _boots(layout: Preset) -> str:
    if layout.own:
        return "what you list below"
    if not layout.boots:
        return "not bootable"
    return "boots under " + " and ".join(_FIRMWARE[firmware] for firmware in layout.boots)


def _guide() -> str:
    parts = [
        f"**{layout.title}**: {layout.summary}. {layout.why} {layout.beware}".strip()
        for layout in PRESETS.values()
    ]
    return "# Layout\n\n`layout.table`\n\n" + "\n\n".join(parts) + "\n"

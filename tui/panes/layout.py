"""Layout: partition table and root file system."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.content import Content

from engine.disk.presets import PRESETS, Preset
from tui.panes.base import Pane
from tui.preview import Preview
from tui.text import visible
from tui.widgets.choices import Choice, Choices
from tui.widgets.drawing import draw
from tui.widgets.labels import Plain
from tui.widgets.messages import SpecEdited

_FIRMWARE = {"bios": "BIOS", "uefi": "UEFI"}


class LayoutPane(Pane):
    """Decides how the disk is divided."""

    STEP = "layout"
    TITLE = "Layout"
    LEAD = "Partition layout. It decides which firmware can boot the disk."

    def compose(self) -> ComposeResult:
        """The layouts, the words on one of them, and the root file system."""
        yield Choices(
            tuple(
                Choice(key, layout.title, detail=_boots(layout), drawing=draw(layout, 24))
                for key, layout in PRESETS.items()
            ),
            glyphs=self.glyphs,
            id="table",
            help_text=_guide(),
        )
        yield Plain("", id="table-why")
        yield Plain("Root file system", classes="section")
        yield self.field("layout.filesystem")
        yield self.field("layout.label")
        yield self.field("layout.sector_size")

    def show(self, preview: Preview) -> None:
        """Shows the layout taken, and what is wrong with it."""
        super().show(preview)
        if preview.settings is not None:
            self.query_one("#table", Choices).chosen = preview.settings.layout.table
            self._explain(preview.settings.layout.table)

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
        self.post_message(SpecEdited("layout.table", event.value, "layout"))

    def focus_path(self, path: str) -> bool:
        """Also knows the layout."""
        if path in {"layout", "layout.table"}:
            self.query_one("#table").focus()
            return True
        return super().focus_path(path)


def _boots(layout: Preset) -> str:
    if not layout.boots:
        return "not bootable"
    return "boots under " + " and ".join(_FIRMWARE[firmware] for firmware in layout.boots)


def _guide() -> str:
    parts = [
        f"**{layout.title}**: {layout.summary}. {layout.why} {layout.beware}".strip()
        for layout in PRESETS.values()
    ]
    return "# Layout\n\n`layout.table`\n\n" + "\n\n".join(parts) + "\n"

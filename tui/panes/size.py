"""Size: automatic or fixed, and what goes where."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult

from engine.spec.settings import Settings
from engine.units import format_exact, human
from tui.panes.base import Pane
from tui.preview import Preview
from tui.widgets.breakdown_bar import BreakdownBar
from tui.widgets.choices import Choice, Choices
from tui.widgets.field import Field
from tui.widgets.labels import Plain
from tui.widgets.messages import SpecEdited

_MODES = (
    Choice("auto", "as large as the contents need"),
    Choice("fixed", "a size I give"),
)


class SizePane(Pane):
    """Decides how large disk, ESP and free space are."""

    STEP = "size"
    TITLE = "Size"
    LEAD = "How large the disk is, and how much of it stays free."

    @staticmethod
    def choice(preview: Preview, settings: Settings) -> str:
        """The size of the disk."""
        if settings.size.disk is not None:
            return human(settings.size.disk)
        return human(preview.plan.disk.bytes) if preview.plan else "as needed"

    def form(self) -> ComposeResult:
        yield Plain("The disk is", classes="section")
        yield Choices(
            _MODES,
            glyphs=self.glyphs,
            id="size-mode",
            help_text="# Disk size\n\n`size.disk`\n\n**As large as the contents need**: the "
            "engine computes the smallest disk that holds everything and leaves the free space "
            "asked for.\n\n**A size I give**: the root file system fills what is left.\n",
        )
        yield self.field("size.disk")
        yield self.field("size.additional")
        yield self.field("size.boot")
        yield self.field("size.inodes")
        yield self.field("size.grow_to")
        yield Plain("Where the bytes go", classes="section", id="breakdown-title")
        yield BreakdownBar(self.glyphs, id="pane-breakdown")

    def show(self, preview: Preview) -> None:
        """Shows only what the mode and the layout use."""
        super().show(preview)
        if preview.settings is None:
            return
        disk = self.query_one("#field-size-disk", Field)
        # An emptied field means automatic, but it must not vanish under the hands.
        fixed = preview.spec.size.disk not in (None, "auto") or disk.control.has_focus
        self.query_one("#size-mode", Choices).chosen = "fixed" if fixed else "auto"
        disk.display = fixed
        self.query_one("#field-size-additional", Field).display = not fixed
        self.query_one("#field-size-boot", Field).display = preview.settings.has("esp")
        self.query_one(BreakdownBar).view = preview.view

    @on(Choices.Chosen, "#size-mode")
    def _mode(self, event: Choices.Chosen) -> None:
        event.stop()
        plan = self.preview.plan
        if event.value == "auto":
            self.post_message(SpecEdited("size.disk", None, "disk size"))
        else:
            value = format_exact(plan.disk.bytes) if plan else "4GiB"
            self.post_message(SpecEdited("size.disk", value, "disk size"))

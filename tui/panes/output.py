"""Output: name, folder, format, identity and rules."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult

from engine.spec.formats import FORMATS, Format
from engine.spec.settings import Settings
from tui.panes.base import Pane
from tui.preview import Preview
from tui.text import visible
from tui.widgets.choices import Choice, Choices
from tui.widgets.field import Field
from tui.widgets.labels import Plain
from tui.widgets.messages import SpecEdited
from tui.widgets.suggest import PathSuggester


def choices() -> tuple[Choice, ...]:
    """Returns a line for each format: what it is called, and who reads it."""
    return tuple(Choice(key, f.title, detail=f.summary) for key, f in FORMATS.items())


def about(format_: Format) -> str:
    """Returns what else there is to know of a format: the sizes it takes, and its note."""
    return " ".join(filter(None, (format_.sizes, f"{format_.note}." if format_.note else "")))


class OutputPane(Pane):
    """Decides what is written where, and with which identifiers."""

    STEP = "output"
    TITLE = "Output"
    LEAD = "Name, folder, format and identifiers of the image."

    @staticmethod
    def choice(preview: Preview, settings: Settings) -> str:
        """The format and its compression."""
        known = FORMATS.get(settings.output.format)
        title = known.title if known else settings.output.format
        packed = "" if settings.output.compress == "none" else f" + {settings.output.compress}"
        return visible(f"{title}{packed}")

    def form(self) -> ComposeResult:
        yield self.field("name")
        yield self.field("output.name")
        yield self.field("outdir", suggester=PathSuggester(self.base))
        yield Plain("Format", classes="section")
        yield Choices(
            choices(),
            glyphs=self.glyphs,
            id="format",
            help_text="# Format\n\n`output.format`\n\n"
            + "\n".join(
                f"- **{f.title}** (`{f.key}`): {f.summary}. {about(f)}" for f in FORMATS.values()
            ),
        )
        yield Plain("", id="format-why")
        yield self.field("compat")
        yield Plain("Beside the image", classes="section")
        yield self.field("output.compress")
        yield self.field("output.keep_raw")
        yield self.field("output.bmap")
        yield self.field("output.sbom")
        yield self.field("output.sums")
        yield self.field("output.sign")
        yield Plain("Identity", classes="section")
        yield self.field("identity.deterministic")
        yield self.field("identity.seed")
        yield self.field("identity.disk_guid")
        yield self.field("identity.disk_signature")
        yield self.field("identity.root_partition_guid")
        yield self.field("identity.root_filesystem_uuid")
        yield self.field("identity.source_date_epoch")
        yield Plain("Hook", classes="section")
        yield self.field("hooks.after_build")

    def show(self, preview: Preview) -> None:
        """Shows the format, and only those identifiers the layout has."""
        super().show(preview)
        if preview.settings is None:
            return
        self.query_one("#format", Choices).chosen = preview.settings.output.format
        self._explain(preview.settings.output.format)
        packed = preview.settings.output.compress != "none"
        self.query_one("#field-output-keep-raw", Field).display = packed
        scheme = preview.settings.scheme
        self.query_one("#field-identity-disk-guid", Field).display = scheme == "gpt"
        self.query_one("#field-identity-disk-signature", Field).display = scheme == "mbr"
        self.query_one("#field-identity-root-partition-guid", Field).display = scheme == "gpt"

    @on(Choices.Highlighted, "#format")
    def _looked_at(self, event: Choices.Highlighted) -> None:
        self._explain(event.value)

    def _explain(self, key: str) -> None:
        found = FORMATS.get(key)
        if found is not None:
            self.query_one("#format-why", Plain).show(f".{found.extension}: {about(found)}")

    @on(Choices.Chosen, "#format")
    def _format(self, event: Choices.Chosen) -> None:
        event.stop()
        self.post_message(SpecEdited("output.format", event.value, "format"))

    def focus_path(self, path: str) -> bool:
        """Also knows the format."""
        if path == "output.format":
            self.query_one("#format").focus()
            return True
        return super().focus_path(path)

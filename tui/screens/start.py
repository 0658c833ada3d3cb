"""The start page: a preset, a file, a recent one, or the session that was cut off."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from engine.disk.presets import PRESETS
from engine.problem import Refused
from engine.spec.resolve import resolve
from engine.spec.starters import STARTERS
from tui.document import Document
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.opening import opened
from tui.screens.messages import (
    ComparisonRequested,
    DocumentChosen,
    ImageRequested,
    ImportRequested,
)
from tui.screens.paths import PathScreen
from tui.session import UnfinishedSession, discard, resume
from tui.text import cut_left, visible
from tui.widgets.bars import KeyBar
from tui.widgets.drawing import draw
from tui.widgets.labels import Plain

Kind = Literal["resume", "preset", "open", "recent", "image", "compare"]


@dataclass(frozen=True, slots=True)
class Offer:
    """A line of the page: its kind and what it names."""

    kind: Kind
    key: str


class StartScreen(Screen[None]):
    """Offers ways to begin; the first line is the likeliest."""

    HELP = """
# Start

A preset is a complete design: Enter takes it, every value can be changed afterwards, and
nothing is written before you press build.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("start")

    def __init__(
        self,
        folder: Path,
        recent: list[str],
        found: list[UnfinishedSession],
        glyphs: Glyphs = UNICODE,
    ) -> None:
        super().__init__()
        self.folder = folder
        self.found = {str(item.file): item for item in found}
        self.recent = [path for path in recent if Path(path).is_file()]
        self.glyphs = glyphs
        self.offers: list[Offer] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="start"):
            yield Plain(Content.assemble(("Diskwright", "bold $accent")), id="brand")
            yield Plain(
                "Designs disk images and builds them, without root. Nothing is written until you "
                "say build.",
                id="tagline",
            )
            with Container(id="start-body"):
                yield OptionList(*self._options(), id="offers", markup=False, compact=True)
                yield Plain("", id="offer-text")
        yield KeyBar(id="keys")

    def on_mount(self) -> None:
        offers = self.query_one(OptionList)
        offers.focus()
        offers.highlighted = next(
            index for index, option in enumerate(offers.options) if not option.disabled
        )

    def _options(self) -> list[Option]:
        options = []
        if self.found:
            options.append(_heading("Unsaved work"))
            for key, item in self.found.items():
                options.append(self._option(Offer("resume", key), f"Resume {item.name}"))
            options.append(_heading(""))
        options.append(_heading("New image"))
        for key, starter in STARTERS.items():
            options.append(self._option(Offer("preset", key), starter.title))
        options.append(_heading(""))
        options.append(_heading("Existing spec"))
        options.append(self._option(Offer("open", ""), "Open a file..."))
        options.extend(
            self._option(Offer("recent", path), cut_left(visible(path), 60, self.glyphs.ellipsis))
            for path in self.recent
        )
        options.append(_heading(""))
        options.append(_heading("Existing image"))
        options.append(self._option(Offer("image", ""), "Look into an image..."))
        options.append(self._option(Offer("compare", ""), "Compare two images..."))
        return options

    def _option(self, offer: Offer, title: str) -> Option:
        self.offers.append(offer)
        return Option(Content(f"  {visible(title)}"), id=f"{offer.kind}:{offer.key}")

    def _offer(self, option_id: str | None) -> Offer | None:
        for offer in self.offers:
            if f"{offer.kind}:{offer.key}" == option_id:
                return offer
        return None

    @on(OptionList.OptionHighlighted)
    def _looked_at(self, event: OptionList.OptionHighlighted) -> None:
        offer = self._offer(event.option_id)
        if offer is not None:
            self.query_one("#offer-text", Plain).show(self._words(offer))

    def _words(self, offer: Offer) -> Content:
        if offer.kind == "preset":
            starter = STARTERS[offer.key]
            settings, _problems = resolve(starter.spec, self.folder, {})
            return Content("\n").join(
                [
                    Content.styled(starter.title, "bold"),
                    Content(""),
                    draw(PRESETS[settings.layout.table], 30),
                    Content(""),
                    Content(starter.summary),
                ]
            )
        if offer.kind == "resume":
            return Content(
                "Unsaved changes of a session that ended unexpectedly. Enter resumes it, "
                "Delete discards it."
            )
        if offer.kind == "open":
            return Content(
                "A TOML spec, whose folder is where relative sources start from; or a Nix file "
                "with a call of make-disk-image, its arguments as JSON, or a disk image."
            )
        if offer.kind == "image":
            return Content(
                "Raw, qcow2, VDI or VHD: partitions, file systems and files, without mounting it. "
                "It can become a spec to start from."
            )
        if offer.kind == "compare":
            return Content("Every field, file and byte in which two images differ, side by side.")
        return Content(visible(offer.key))

    @on(OptionList.OptionSelected)
    def _taken(self, event: OptionList.OptionSelected) -> None:
        offer = self._offer(event.option_id)
        if offer is None:
            return
        if offer.kind == "preset":
            starter = STARTERS[offer.key]
            self.post_message(
                DocumentChosen(Document(spec=starter.spec, base=self.folder, title=starter.title))
            )
        elif offer.kind == "resume":
            found = self.found[offer.key]
            try:
                saved = found.saved
                self.post_message(DocumentChosen(resume(found), saved.step, Path(saved.outdir)))
            except OSError as error:
                self._tell(str(error))
        elif offer.kind == "recent":
            self.open(Path(offer.key))
        elif offer.kind == "image":
            self.post_message(ImageRequested())
        elif offer.kind == "compare":
            self.post_message(ComparisonRequested())
        else:
            self.app.push_screen(
                PathScreen("Open a file", "Its path, from the current folder:", base=self.folder),
                self._open_answer,
            )

    def action_forget(self) -> None:
        """Discards the session under the cursor."""
        offers = self.query_one(OptionList)
        at = offers.highlighted
        offer = None if at is None else self._offer(offers.get_option_at_index(at).id)
        if offer is None or offer.kind != "resume":
            self.app.bell()
            return
        discard(self.found.pop(offer.key))
        assert at is not None
        offers.remove_option_at_index(at)
        self._tell("Forgotten.")

    def _open_answer(self, path: Path | None) -> None:
        if path is not None:
            self.open(path)

    def open(self, path: Path) -> None:
        """Opens a spec, an image or what can be imported, or says all that is wrong with it."""
        try:
            found = opened(path)
        except Refused as refused:
            lines = [problem.line() for problem in refused.problems]
            self._tell("\n".join([f"{path} cannot be opened:", *lines]))
            return
        if isinstance(found, Document):
            self.post_message(DocumentChosen(found))
        elif found.is_image:
            self.post_message(ImageRequested(path))
        else:
            self.post_message(ImportRequested(found))

    def _tell(self, text: str) -> None:
        self.query_one("#offer-text", Plain).show(visible_lines(text))


def visible_lines(text: str) -> str:
    """Returns foreign text made safe, its line breaks kept."""
    return "\n".join(visible(line) for line in text.split("\n"))


def _heading(text: str) -> Option:
    return Option(Content.styled(text, "$muted"), disabled=True)

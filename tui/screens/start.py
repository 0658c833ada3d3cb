"""The start page: presets, recent specs and images, unsaved work, and a line for any path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from engine.disk.presets import PRESETS
from engine.problem import Refused
from engine.spec.resolve import resolve
from engine.spec.starters import STARTERS
from tui.config import Config
from tui.document import Document
from tui.glyphs import UNICODE, Glyphs
from tui.keys import bindings
from tui.opening import Fleet, Sources, opened_all
from tui.screens.closing import Page
from tui.screens.messages import (
    ComparisonRequested,
    DocumentChosen,
    FleetRequested,
    ImageRequested,
    ImportRequested,
)
from tui.screens.paths import PathScreen
from tui.session import UnfinishedSession, discard, resume
from tui.starting import Offer, StartSession
from tui.text import cut, cut_left, fit, visible, visible_lines
from tui.widgets.bars import KeyBar
from tui.widgets.drawing import draw, draw_roles
from tui.widgets.labels import Plain
from tui.widgets.path_line import PathLine

_TITLE, _DRAWING = 20, 20
"""Cells of an offer's title, and of the drawing beside it."""
_ROOM_FOR_NOTE = 60
"""Cells of the list from which size and age stand in it."""


class StartScreen(Page[None]):
    """Offers ways to begin; the first line is the likeliest."""

    HELP = """
# Start

A preset is a complete design: Enter takes it, every value can be changed afterwards, and
nothing is written before you press build.

A folder, an archive, a container image, a spec, a fleet, a disk image or a Nix file dropped onto
the terminal opens on the page that fits it; its path can be pasted or typed as well.
"""
    BINDINGS: ClassVar[list[BindingType]] = bindings("start")

    def __init__(
        self,
        folder: Path,
        config: Config,
        found: list[UnfinishedSession],
        glyphs: Glyphs = UNICODE,
    ) -> None:
        super().__init__()
        self.start = StartSession(folder, config, found, time.time())
        self.folder = folder
        self.glyphs = glyphs
        self.offers: dict[str, Offer] = {}

    def compose(self) -> ComposeResult:
        with Vertical(id="start"):
            yield Plain(Content.assemble(("Diskwright", "bold $accent")), id="brand")
            yield Plain(
                "Designs disk images and builds them, without root. Nothing is written until you "
                "say build.",
                id="tagline",
            )
            yield PathLine(self.folder, id="drop")
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
        self._read()

    @work(exclusive=True, group="recent")
    async def _read(self) -> None:
        """Reads what recent files are: the page is there before that."""
        for _, offers in await asyncio.to_thread(self.start.groups, read=True):
            self.offers |= {offer.id: offer for offer in offers}
        self._draw()

    def _options(self) -> list[Option]:
        options: list[Option] = []
        for heading, offers in self.start.groups():
            if options:
                options.append(_heading(""))
            options.append(_heading(heading))
            for offer in offers:
                self.offers[offer.id] = offer
                options.append(Option(self._line(offer, 0), id=offer.id))
        return options

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        """Draws every offer in the room there is."""
        listed = self.query_one(OptionList)
        room = listed.scrollable_content_region.width
        for offer in self.offers.values():
            if any(option.id == offer.id for option in listed.options):
                listed.replace_option_prompt(offer.id, self._line(offer, room))
        at = listed.highlighted
        if at is not None:
            self._tell_offer(listed.get_option_at_index(at).id)

    def _line(self, offer: Offer, room: int) -> Content:
        room -= 2
        draws = offer.roles is not None and room >= _TITLE + _DRAWING + 1
        notes = bool(offer.note) and room >= _ROOM_FOR_NOTE
        if not draws and not notes:
            return Content(f"  {cut_left(offer.title, max(room, 1), self.glyphs.ellipsis)}")
        title = cut_left(offer.title, _TITLE, self.glyphs.ellipsis)
        if not draws:  # the note has the drawing's room
            left = room - _TITLE - 1
            return Content.assemble(
                f"  {fit(title, _TITLE)} ", (cut(offer.note, left, self.glyphs.ellipsis), "$muted")
            )
        drawing = draw_roles(offer.roles or (), _DRAWING)
        line = Content(f"  {fit(title, _TITLE)} ") + drawing
        if notes:
            left = max(room - _TITLE - _DRAWING - 3, 0)
            line += Content.styled(f"  {cut(offer.note, left, self.glyphs.ellipsis)}", "$muted")
        return line

    @on(OptionList.OptionHighlighted)
    def _looked_at(self, event: OptionList.OptionHighlighted) -> None:
        self._tell_offer(event.option_id)

    def _tell_offer(self, name: str | None) -> None:
        offer = self.offers.get(name or "")
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
        if offer.kind in {"recent", "built"}:
            lines = [Content.styled(offer.title, "bold"), Content(offer.note)]
            if offer.roles is not None:
                lines += [Content(""), draw_roles(offer.roles, 30)]
            return Content("\n").join([*lines, Content(""), Content(visible(offer.key))])
        return Content(_WORDS[offer.kind])

    @on(OptionList.OptionSelected)
    def _taken(self, event: OptionList.OptionSelected) -> None:
        offer = self.offers.get(event.option_id or "")
        if offer is None:
            return
        if offer.kind == "preset":
            starter = STARTERS[offer.key]
            self.post_message(
                DocumentChosen(Document(spec=starter.spec, base=self.folder, title=starter.title))
            )
        elif offer.kind == "resume":
            found = self.start.unfinished[offer.key]
            try:
                saved = found.saved
                self.post_message(DocumentChosen(resume(found), saved.step, Path(saved.outdir)))
            except OSError as error:
                self._tell(str(error))
        elif offer.kind == "recent":
            self.open([Path(offer.key)])
        elif offer.kind == "built":
            self.post_message(ImageRequested(Path(offer.key)))
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
        name = None if at is None else offers.get_option_at_index(at).id
        offer = self.offers.get(name or "")
        if offer is None or offer.kind != "resume":
            self.app.bell()
            return
        discard(self.start.unfinished.pop(offer.key))
        del self.offers[offer.id]
        assert at is not None
        offers.remove_option_at_index(at)
        self._tell("Forgotten.")

    def _open_answer(self, path: Path | None) -> None:
        if path is not None:
            self.open([path])

    # ------------------------------------------------------------------ the line

    def on_key(self, event: events.Key) -> None:
        """Begins a path in the line: a terminal may type what is dropped onto it."""
        offers, line = self.query_one(OptionList), self.query_one(PathLine)
        if line.has_focus and event.key == "down":
            event.stop()
            offers.focus()
        elif (
            offers.has_focus
            and event.character
            and event.is_printable
            and event.character not in " ?"
        ):
            event.stop()
            line.focus()
            line.insert_text_at_cursor(event.character)

    def on_paste(self, event: events.Paste) -> None:
        """Takes what is dropped or pasted anywhere on the page."""
        line = self.query_one(PathLine)
        line.value = ""
        line.focus()
        line.post_message(events.Paste(event.text))

    def action_leave_line(self) -> None:
        """Goes from the line to the offers."""
        self.query_one(OptionList).focus()

    @on(PathLine.Given)
    def _given(self, event: PathLine.Given) -> None:
        self.open(event.paths)

    def open(self, paths: Sequence[Path]) -> None:
        """Opens the page that fits what paths name, or says all that is wrong with it."""
        try:
            found = opened_all(paths)
        except Refused as refused:
            lines = [problem.line() for problem in refused.problems]
            named = ", ".join(map(str, paths))
            self._tell("\n".join([f"{named} cannot be opened:", *lines]))
            return
        self.query_one(PathLine).value = ""
        if isinstance(found, Sources):
            found = found.document(self.folder)
        if isinstance(found, Document):
            self.post_message(DocumentChosen(found))
        elif isinstance(found, Fleet):
            self.post_message(FleetRequested(found.path))
        elif found.is_image:
            self.post_message(ImageRequested(found.path))
        else:
            self.post_message(ImportRequested(found))

    def _tell(self, text: str) -> None:
        self.query_one("#offer-text", Plain).show(visible_lines(text))


_WORDS = {
    "resume": "Unsaved changes of a session that ended unexpectedly. Enter resumes it, Delete "
    "discards it.",
    "open": "A TOML spec, whose folder is where relative sources start from; or a Nix file with a "
    "call of make-disk-image, its arguments as JSON, another tool's description, a disk image.",
    "image": "Raw, qcow2, VDI or VHD: partitions, file systems and files, without mounting it. "
    "It can become a spec to start from.",
    "compare": "Every field, file and byte in which two images differ, side by side.",
}


def _heading(text: str) -> Option:
    return Option(Content.styled(text, "$muted"), disabled=True)

"""The one-row bars around the form: title, problems, last change, keys."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.message import Message
from textual.reactive import reactive
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget

from engine.plan.regions import Change
from engine.problem import Problem
from engine.units import human
from tui.glyphs import UNICODE, Glyphs
from tui.keys import footer_order
from tui.preview import Preview
from tui.text import counted, cut, cut_left, pad, visible
from tui.widgets.map_parts import name_of

NOTE_SECONDS = 4.0
"""How long what was done is told."""


class TitleBar(Widget):
    """What is being designed, whether it is saved, and what is going on."""

    file = reactive("")
    unsaved = reactive(False)
    figure = reactive("")
    activity = reactive("")

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def tell(self, preview: Preview, file: str, *, saved: bool) -> None:
        """Tells of a design: its file, its size, and what is being read for it."""
        plan = preview.plan
        self.file, self.unsaved = file, not saved
        self.figure = f"{human(plan.disk.bytes)} {plan.disk.table}" if plan else ""
        amount = f"scanning {preview.entries:,} entries, {human(preview.bytes)}"
        self.activity = amount if preview.scanning else ""

    def render(self) -> Content:
        width = self.size.width
        right = self.activity or self.figure
        mark = f" {self.glyphs.unsaved} not saved" if self.unsaved else ""
        brand = " Diskwright  " if width >= 50 else " "
        room = max(width - cell_len(brand) - len(mark) - cell_len(right) - 2, 4)
        name = cut_left(visible(self.file), room, self.glyphs.ellipsis)
        left = cell_len(brand) + cell_len(name) + len(mark)
        return Content.assemble(
            (brand, "bold $accent"),
            (name, "bold"),
            (mark, "$state-warning"),
            " " * max(width - left - cell_len(right) - 1, 1),
            (cut(right, max(width - left - 2, 0), self.glyphs.ellipsis), "$muted"),
        )


class ProblemLine(Widget):
    """The worst problem in one line; a click opens the list."""

    problems: reactive[tuple[Problem, ...]] = reactive(())
    scanning = reactive(False)

    class Wanted(Message):
        """The list of problems is wanted."""

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs

    def render(self) -> Content:
        if not self.problems and self.scanning:
            return Content.styled(" No problems so far", "$muted")
        if not self.problems:
            return Content.assemble(
                (f" {self.glyphs.done} No problems", "$state-done"),
            )
        errors = sum(problem.severity == "error" for problem in self.problems)
        warnings = len(self.problems) - errors
        parts = []
        if errors:
            parts.append(f"{self.glyphs.error} {counted(errors, 'error')}")
        if warnings:
            parts.append(f"{self.glyphs.warning} {counted(warnings, 'warning')}")
        counts = " " + "  ".join(parts)
        message = f"  {visible(self.problems[0].message)}"
        style = "$state-error" if errors else "$state-warning"
        room = max(self.size.width - cell_len(counts) - 1, 0)
        return Content.assemble(
            (counts, f"bold {style}"), (cut(message, room, self.glyphs.ellipsis), style)
        )

    def on_click(self) -> None:
        self.post_message(self.Wanted())


class ChangeLine(Widget):
    """What the last edit changed, in figures; the disk in a sentence while there is nothing."""

    changes: reactive[tuple[Change, ...]] = reactive(())
    note = reactive("")
    moving = reactive("")
    stale = reactive(False)
    summary = reactive("")

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.glyphs = glyphs
        self._silence: Timer | None = None

    def say(self, text: str) -> None:
        """Shows a sentence for a few seconds."""
        self.note = text
        if self._silence is not None:
            self._silence.stop()
        self._silence = self.set_timer(NOTE_SECONDS, lambda: setattr(self, "note", ""))

    def render(self) -> Content:
        width = self.size.width
        if self.moving:
            return Content.styled(cut(f" {self.moving}", width, self.glyphs.ellipsis), "bold")
        if self.note:
            return Content.styled(cut(f" {self.note}", width, self.glyphs.ellipsis), "$muted")
        if self.stale:
            text = cut(" Last plan that could be made", width, self.glyphs.ellipsis)
            return Content.styled(text, "$state-warning")
        if not self.changes:
            return Content.styled(cut(f" {self.summary}", width, self.glyphs.ellipsis), "$muted")
        terms = [
            f" {name_of(change.what)} {'+' if change.delta > 0 else '-'}{human(abs(change.delta))} "
            for change in self.changes
        ]
        head = " Last edit "
        fits = cell_len(head) + sum(map(cell_len, terms)) <= width
        content = Content.styled(head if fits else "", "$muted")
        for term in terms:
            if content.cell_length + cell_len(term) > width:
                break
            content = content + Content.styled(term, "bold")
        return content


class KeyBar(Widget):
    """The keys that matter here, most wanted first, as many as fit; each can be clicked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._places: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, _screen: Screen[object]) -> None:
        self.refresh()

    def render(self) -> Content:
        order = footer_order()
        shown = [
            (active.binding, active.enabled)
            for active in self.screen.active_bindings.values()
            if active.binding.show and active.binding.id in order
        ]
        quit_last = sorted(shown, key=lambda item: order[item[0].id or ""])
        self._places = []
        content, width = Content(""), self.size.width
        seen: set[str] = set()
        reserve = 9
        for binding, enabled in quit_last:
            if binding.action in seen:
                continue
            key = self.app.get_key_display(binding)
            needed = cell_len(key) + cell_len(binding.description) + 3
            last = binding.id == "app.quit"
            if content.cell_length + needed + (0 if last else reserve) > width:
                continue
            seen.add(binding.action)
            start = content.cell_length
            content = content + Content.assemble(
                (f" {key}", "bold $footer-key-foreground" if enabled else "$muted"),
                (f" {binding.description} ", "" if enabled else "$muted"),
            )
            self._places.append((start, content.cell_length, binding.key))
        return content

    def on_click(self, event: events.Click) -> None:
        for start, end, key in self._places:
            if start <= event.x < end:
                self.app.simulate_key(key)
                return


def aligned(pairs: list[tuple[str, str]]) -> Content:
    """Returns names and values as two columns."""
    width = max((cell_len(name) for name, _ in pairs), default=0) + 2
    return Content("\n").join(
        Content.assemble((pad(name, width), "$muted"), visible(value)) for name, value in pairs
    )

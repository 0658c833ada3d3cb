"""The table of entries: columns that always fit, the rest of a row told in a line below."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import DataTable

from engine.problem import Problem
from engine.spec.model import Content as Entry
from engine.units import human, in_bytes
from tui.glyphs import UNICODE, Glyphs
from tui.preview import Preview
from tui.text import cut, cut_left, visible
from tui.widgets.map_parts import name_of

_TITLES = ("Source", "Target", "Entries", "Bytes", "Mode", "Owner")
_PADDING = 2
"""Cells beside each column's text."""
_SHORTEST = 8
"""Cells of a path below which another column gives way."""


@dataclass(frozen=True, slots=True)
class Row:
    """What stands in the table for one entry, in full."""

    mark: str
    source: str
    target: str
    entries: str
    bytes: str
    mode: str
    owner: str

    @property
    def text(self) -> str:
        """What a text is looked for in."""
        return f"{self.source}\n{self.target}\n{self.mode}\n{self.owner}"


def shares(wanted: tuple[int, int], room: int) -> tuple[int, int]:
    """Returns what two columns get of the room: what they want, or half of what there is."""
    first, second = wanted
    if first + second <= room:
        return wanted
    half = max(room // 2, 1)
    if first <= half:
        return first, max(room - first, 1)
    if second <= half:
        return max(room - second, 1), second
    return max(room - half, 1), half


class EntryTable(DataTable[Text]):
    """Shows the entries of a preview; it never scrolls sideways.

    Attributes:
        text: Only entries with this in what is shown of them are, in either case.
        kept: The entries shown, by row.
    """

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False, id=id)
        self.glyphs = glyphs
        self.text = ""
        self.shown_entries: list[int] = []
        self._preview = Preview()

    def on_resize(self) -> None:
        self.fill(self._preview)

    def fill(self, preview: Preview) -> None:
        """Fills the table; the cursor stays."""
        self._preview = preview
        at = self.chosen
        wanted = self.text.casefold()
        rows = {
            index: row
            for index in range(len(preview.spec.contents))
            if wanted in (row := self._row(preview, index)).text.casefold()
        }
        widths = self._widths(list(rows.values()))
        shown = [index for index, width in enumerate(widths) if width]
        self.shown_entries = list(rows)
        self.clear(columns=True)
        for index in shown:
            self.add_column(_TITLES[index], width=widths[index])
        for row in rows.values():
            cells = self._cells(row, widths)
            self.add_row(*(cells[index] for index in shown))
        self.choose(max(at, 0))

    @property
    def chosen(self) -> int:
        """The entry under the cursor; -1 where there is none."""
        return (
            self.shown_entries[self.cursor_row]
            if 0 <= self.cursor_row < len(self.shown_entries)
            else -1
        )

    def choose(self, entry: int) -> None:
        """Puts the cursor on an entry, or on the next one that is shown."""
        if self.shown_entries:
            later = (row for row, index in enumerate(self.shown_entries) if index >= entry)
            self.move_cursor(row=next(later, len(self.shown_entries) - 1))

    def _cells(self, row: Row, widths: tuple[int, ...]) -> tuple[Text, ...]:
        source, target, _entries, _bytes, mode, owner = widths
        ellipsis = self.glyphs.ellipsis
        return (
            Text(f"{row.mark} {cut_left(row.source, source - 2, ellipsis)}"),
            Text(cut_left(row.target, target, ellipsis)),
            Text(row.entries, justify="right"),
            Text(row.bytes, justify="right"),
            Text(cut(row.mode, mode, ellipsis)),
            Text(cut(row.owner, owner, ellipsis)),
        )

    def _row(self, preview: Preview, index: int) -> Row:
        entry = preview.spec.contents[index]
        count = None if preview.scanning else preview.counts.get(index)
        return Row(
            mark=self._mark(preview, index),
            source=visible(entry.source),
            target=visible(entry.target),
            entries=self.glyphs.ellipsis if count is None else f"{count.entries:,}",
            bytes=self.glyphs.ellipsis if count is None else human(count.bytes),
            mode=visible(entry.mode or self.glyphs.dash),
            owner=visible(owner(entry) or self.glyphs.dash),
        )

    def _widths(self, rows: list[Row]) -> tuple[int, ...]:
        """Returns the columns' widths: figures as wide as they are, the paths get the rest."""
        entries = max([7, *(len(row.entries) for row in rows)])
        size = max([5, *(len(row.bytes) for row in rows)])
        mode = min(max([4, *(cell_len(row.mode) for row in rows)]), 9)
        who = min(max([5, *(cell_len(row.owner) for row in rows)]), 9)
        source = max([8, *(cell_len(row.source) + 2 for row in rows)])
        target = max([6, *(cell_len(row.target) for row in rows)])
        figures = {"Entries": entries, "Owner": who, "Mode": mode, "Bytes": size}
        for name in tuple(figures):
            room = self.size.width - sum(figures.values()) - (2 + len(figures)) * _PADDING
            if room >= 2 * _SHORTEST:
                break
            del figures[name]
        room = self.size.width - sum(figures.values()) - (2 + len(figures)) * _PADDING
        source, target = shares((source, target), max(room, 6))
        return max(source, 3), target, *(figures.get(title, 0) for title in _TITLES[2:])

    def _mark(self, preview: Preview, index: int) -> str:
        problem = problem_of(preview, index)
        if problem is not None:
            return self.glyphs.state(problem.severity)
        return self.glyphs.ellipsis if preview.scanning else self.glyphs.done


def problem_of(preview: Preview, index: int) -> Problem | None:
    """Returns the worst problem of an entry."""
    prefix = f"contents[{index}]"
    for problem in preview.problems:
        if problem.path == prefix or problem.path.startswith(f"{prefix}."):
            return problem
    return None


def owner(entry: Entry) -> str:
    """Returns who owns what an entry brings, "" where nobody is named."""
    if entry.extract:
        return "archive"
    return f"{entry.user}:{entry.group}" if entry.user is not None else ""


def sentence(preview: Preview, index: int) -> str:
    """Returns an entry in words: its state, exact figures, and whatever the columns cut."""
    if not 0 <= index < len(preview.spec.contents):
        return ""
    entry = preview.spec.contents[index]
    problem = problem_of(preview, index)
    if problem is not None:
        return f"{problem.severity.title()}: {visible(problem.message)}"
    parts = []
    count = preview.counts.get(index)
    if preview.scanning or count is None:
        parts.append("Scanning")
    else:
        noun = "entry" if count.entries == 1 else "entries"
        parts.append(f"Fine: {count.entries:,} {noun}, {in_bytes(count.bytes)}")
        parts.append(f"container image: {visible(count.about)}" if count.about else "")
    parts.append("unpacked" if entry.extract else "")
    parts.append("replaces what is there" if entry.replace else "")
    parts.append(f"run by {visible(entry.service)}.service" if entry.service else "")
    parts.append(f"mode {visible(entry.mode)}" if entry.mode else "")
    parts.append(f"owner {visible(owner(entry))}" if entry.user is not None else "")
    goal = entry.volume or entry.partition
    parts.append(f"into {name_of(goal)}" if goal else "")
    if entry.exclude:
        parts.append(f"without {visible(', '.join(entry.exclude))}")
    return ", ".join(part for part in parts if part)

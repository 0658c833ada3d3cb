"""The table of volumes: columns that always fit, the rest of a row told in a line below."""

from __future__ import annotations

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import DataTable

from tui.glyphs import UNICODE, Glyphs
from tui.preview import Preview
from tui.text import cut
from tui.volumes import VolumeRow, problem_of, rows

_COLUMNS = (
    ("Volume", "id", False, 0),
    ("Role", "role", False, 5),
    ("Format", "format", False, 3),
    ("Mount", "mount", False, 2),
    ("Size", "rule", False, 1),
    ("Gives", "size", True, 0),
    ("Files", "files", True, 4),
)
"""Title, attribute of a row, whether it is flushed right, and rank: the highest gives way first."""
_PADDING = 2
_SHORTEST = 6


class VolumeTable(DataTable[Text]):
    """Shows the volumes of a preview in disk order; it never scrolls sideways."""

    def __init__(self, glyphs: Glyphs = UNICODE, *, id: str | None = None) -> None:
        super().__init__(cursor_type="row", zebra_stripes=False, id=id)
        self.glyphs = glyphs
        self._preview = Preview()
        self._names: tuple[str, ...] = ()
        self._wanted = ""

    @property
    def chosen(self) -> str:
        """Id of the volume under the cursor, or ""."""
        return self._names[self.cursor_row] if 0 <= self.cursor_row < len(self._names) else ""

    def on_resize(self) -> None:
        self.fill(self._preview)

    def want(self, name: str) -> None:
        """Puts the cursor on a volume, now or once it is there."""
        self._wanted = name
        if name in self._names:
            self.move_cursor(row=self._names.index(name))
            self._wanted = ""

    def fill(self, preview: Preview) -> None:
        """Fills the table; the cursor stays on its volume."""
        self._preview = preview
        at, before = self.cursor_row, self.chosen
        found = rows(preview)
        shown = self._fitting(found)
        self.clear(columns=True)
        for title, _, _, width in shown:
            self.add_column(title, width=width)
        for row in found:
            self.add_row(*(self._cell(row, *column) for column in shown))
        self._names = () if preview.settings is None else tuple(
            volume.id for volume in preview.settings.volumes
        )  # fmt: skip
        if found:
            goal = self._wanted if self._wanted in self._names else before
            self.move_cursor(
                row=self._names.index(goal)
                if goal in self._names
                else min(max(at, 0), len(found) - 1)
            )
            if goal == self._wanted:
                self._wanted = ""

    def _cell(self, row: VolumeRow, _title: str, name: str, right: bool, width: int) -> Text:
        text = getattr(row, name)
        if name == "id":
            text = f"{self._mark(row.id)} {text}"
        return Text(cut(text, width, self.glyphs.ellipsis), justify="right" if right else "default")

    def _mark(self, name: str) -> str:
        settings = self._preview.settings
        for volume in () if settings is None else settings.volumes:
            if volume.id == name:
                problem = problem_of(self._preview, volume)
                return " " if problem is None else self.glyphs.state(problem.severity)
        return " "

    def _fitting(self, found: tuple[VolumeRow, ...]) -> list[tuple[str, str, bool, int]]:
        """Returns the columns that there is room for, with their widths."""
        columns = list(_COLUMNS)
        while True:
            widths = {
                name: max([cell_len(title), *(cell_len(getattr(row, name)) for row in found)])
                + (2 if name == "id" else 0)
                for title, name, _, _ in columns
            }
            over = sum(widths.values()) + _PADDING * len(columns) - self.size.width
            if over <= 0 or len(columns) == 2:
                break
            # A long id or rule is cut before a column goes.
            for name in ("id", "rule", "mount"):
                spare = max(widths.get(name, 0) - 2 * _SHORTEST, 0)
                widths[name] = widths.get(name, 0) - min(spare, max(over, 0))
                over -= spare
            if over <= 0:
                break
            columns.remove(max(columns, key=lambda column: column[3]))
        if len(columns) == 2:
            widths["id"] = max(min(widths["id"], self.size.width - widths["size"] - 4), 3)
        return [(title, name, right, widths[name]) for title, name, right, _ in columns]

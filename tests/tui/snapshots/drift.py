"""Says where a page is no longer as it was recorded: expected | seen, row by row."""

from __future__ import annotations

from itertools import zip_longest

from rich.cells import cell_len

from tests.tui.snapshots.page import Look

_CONTEXT = 1
"""Rows shown above and below one that changed."""


def drift(expected: Look, found: Look) -> str:
    """Returns a report on what differs; empty if nothing does.

    Of a row that reads otherwise the styles are not compared: they follow the text.
    """
    return "\n".join([*_rows(expected.rows, found.rows), *_styles(expected, found)])


def _rows(expected: tuple[str, ...], found: tuple[str, ...]) -> list[str]:
    pairs = list(zip_longest(expected, found, fillvalue=""))
    changed = {number for number, (old, new) in enumerate(pairs) if old != new}
    if not changed:
        return []
    width = max(cell_len(row) for row in (*expected, "expected"))
    lines = [f"     {_padded('expected', width)} │ seen"]
    before = -1
    for number, (old, new) in enumerate(pairs):
        if not any(abs(number - other) <= _CONTEXT for other in changed):
            continue
        if before >= 0 and number - before > 1:
            lines.append("   ⋯")
        before = number
        mark, rule = ("≠", "≠") if number in changed else (" ", "│")
        lines.append(f"{mark} {number + 1:>2} {_padded(old, width)} {rule} {new}".rstrip())
    return lines


def _padded(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _styles(expected: Look, found: Look) -> list[str]:
    lines = []
    if expected.default != found.default:
        lines += ["default style", *_pair(expected.default, found.default)]
    pairs = zip_longest(expected.runs, found.runs, fillvalue="")
    for number, (old, new) in enumerate(pairs):
        if old != new and expected.rows[number : number + 1] == found.rows[number : number + 1]:
            row = found.rows[number] if number < len(found.rows) else ""
            before, after = old.split(", "), new.split(", ")
            lines += [
                f"style of row {number + 1}: {row.strip()}",
                *_pair(
                    ", ".join(run for run in before if run not in after),
                    ", ".join(run for run in after if run not in before),
                ),
            ]
    return lines


def _pair(old: str, new: str) -> tuple[str, str]:
    return f"  expected {old or '(default)'}", f"      seen {new or '(default)'}"

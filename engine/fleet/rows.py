"""Rows of a fleet as they stand in a file: inline tables, CSV (RFC 4180) or JSON Lines."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from engine.problem import Problem, Refused
from engine.spec.load import read_text
from engine.spec.shape import show
from engine.units import counted

MOST_ROWS = 100_000
"""A file with more is not a list of machines."""

_LISTS = ("contents", "volume")
"""Lists of tables of a spec, to which a row may add."""


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row, as it was written.

    Attributes:
        where: File and line.
        columns: By name; a column named like a key of the spec overrides it.
        added: Tables that go to the end of the spec's own, by the name of the list.
    """

    where: str
    columns: Mapping[str, object]
    added: Mapping[str, Sequence[Mapping[str, object]]] = field(default_factory=dict)


def inline(table: Mapping[str, object], where: str) -> tuple[RawRow, list[Problem]]:
    """Returns a row that stands in the fleet's own file.

    A section stands for the columns of its keys, so that `size.disk = 1` and `"size.disk" = 1`
    mean the same.
    """
    columns: dict[str, object] = {}
    added: dict[str, list[Mapping[str, object]]] = {}
    problems = []
    for name, value in table.items():
        if name in _LISTS:
            entries: list[Any] = value if isinstance(value, list) else [value]
            if all(isinstance(entry, Mapping) for entry in entries):
                added[name] = entries
            else:
                problems.append(_bad_list(name, value, where))
        elif isinstance(value, Mapping):
            columns |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            columns[name] = value
    return RawRow(where, columns, added), problems


def _bad_list(name: str, value: object, where: str) -> Problem:
    message = f"is {show(value)}, but must be tables, [[row.{name}]]"
    return Problem("wrong-type", "error", name, message, file=where)


def read_rows(path: Path) -> tuple[list[RawRow], list[Problem]]:
    """Reads a file of rows, by the ending of its name.

    Raises:
        Refused: It cannot be read, or its name ends in neither .csv nor .jsonl.
    """
    if path.suffix == ".csv":
        return _csv(path)
    if path.suffix in {".jsonl", ".ndjson"}:
        return _json_lines(path)
    message = f"{path} is neither CSV nor JSON Lines by its name"
    hint = "call it NAME.csv or NAME.jsonl, or write [[row]] tables"
    raise Refused([Problem("rows-format", "error", "rows", message, hint)])


def _csv(path: Path) -> tuple[list[RawRow], list[Problem]]:
    text = read_text(path).removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    problems: list[Problem] = []
    rows: list[RawRow] = []
    try:
        header = next(reader, [])
        problems += _header(path, header)
        if problems:
            return [], problems
        for cells in reader:
            where = f"{path}:{reader.line_num}"
            if not cells or cells == [""]:
                continue
            if len(cells) != len(header):
                names = counted(len(header), "column")
                message = f"has {counted(len(cells), 'cell')}, and the header names {names}"
                hint = 'put a cell with a comma in it into "quotes"'
                problems.append(Problem("ragged-row", "error", "", message, hint, file=where))
                continue
            # An empty cell says nothing of a key, and stands for no text in a placeholder.
            rows.append(RawRow(where, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        where = f"{path}:{reader.line_num}"
        hint = 'a cell that begins with a quote ends with one; within, write "" for a quote'
        problems.append(Problem("csv-syntax", "error", "", str(error), hint, file=where))
    return rows, problems


def _header(path: Path, header: Sequence[str]) -> Iterator[Problem]:
    where = f"{path}:1"
    if not header:
        hint = "its first line names the columns, as in: serial,size.disk"
        yield Problem("csv-header", "error", "", "holds no line", hint, file=str(path))
    for name, count in Counter(header).items():
        if not name.strip():
            message = f"column {header.index(name) + 1} has no name"
            yield Problem("csv-header", "error", "", message, "name every column", file=where)
        elif count > 1:
            message = f"names the column {show(name)} {count} times"
            yield Problem("csv-header", "error", "", message, "name each once", file=where)
    if len(header) == 1 and ";" in header[0]:
        message = "has one column, whose name holds semicolons"
        hint = "separate cells by commas, as RFC 4180 has them"
        yield Problem("csv-header", "error", "", message, hint, file=where)


def _json_lines(path: Path) -> tuple[list[RawRow], list[Problem]]:
    rows, problems = [], []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        where = f"{path}:{number}"
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line.encode(errors="surrogatepass"))
        except (msgspec.DecodeError, RecursionError) as error:
            problems.append(Problem("json-syntax", "error", "", str(error), file=where))
            continue
        if not isinstance(value, dict):
            message = f"is {show(value)}, but a row is an object"
            hint = 'write {"column": "value", ...} on each line'
            problems.append(Problem("json-syntax", "error", "", message, hint, file=where))
            continue
        row, wrong = inline(value, where)
        rows.append(row)
        problems += wrong
    return rows, problems

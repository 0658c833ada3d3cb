"""A fleet as it is described: one file, its rows, and the spec that each of them comes to."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.fleet import placeholders
from engine.fleet.model import Fleet, Gathered, Row
from engine.fleet.rows import MOST_ROWS, RawRow, inline, read_rows
from engine.problem import Problem, Refused, Severity, errors, quote
from engine.spec.lines import key_lines, line_of
from engine.spec.load import check_schema, converted, parse, read_text
from engine.spec.model import ImageSpec
from engine.spec.overrides import apply_overrides, set_value
from engine.spec.paths import declared_at, home, parse_path
from engine.spec.shape import element_of, is_section, key_paths, nearest, show
from engine.spec.values import MAX_NAME_BYTES
from engine.units import in_bytes

_KEYS = ("schema", "base", "name", "rows", "row", "specs")
_MARKS = frozenset(_KEYS) - {"schema", "name"}
"""Keys that a fleet has and a spec has not."""
_MARKS_OF_SPECS = frozenset({"contents", "layout", "volume"})
"""Keys of which a spec has one, and a fleet none."""

_SPEC, _NAME, _ROW = "spec", "name", "row"
"""Columns with a meaning of their own, and the placeholder of a row's number."""

_TAKEN = frozenset({"fleet.json", "fleet.jsonl"})
"""Names in the output folder that are not a row's."""


@dataclass(slots=True)
class _Base:
    """A spec that rows start from."""

    path: Path
    table: dict[str, object]
    lines: Mapping[str, int]
    used: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Reading:
    folder: Path
    overrides: Sequence[str]
    template: str | None
    default: str | None
    found: Gathered = field(default_factory=Gathered)
    bases: dict[Path, _Base | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)


def is_fleet(path: Path) -> bool:
    """Whether a file is one of a fleet: TOML with a key that only a fleet has."""
    if path.suffix != ".toml":
        return False
    try:
        return bool(_MARKS & parse(read_text(path), None).keys())
    except Refused:
        return False


def read_fleet(path: Path, overrides: Sequence[str] = ()) -> Fleet:
    """Reads a fleet; whatever is wrong with it stands in it.

    Args:
        path: The file.
        overrides: Texts "section.key=value", applied to each row in the end.

    Raises:
        Refused: It is not TOML, is written for another version, or is the spec of one image.
    """
    text = read_text(path)
    table = parse(text, str(path))
    check_schema(table, str(path), text)
    if _is_spec(table):
        message = "this is the spec of one image, not a fleet"
        hint = f'build it with `diskwright build`; a fleet names it: base = "{path.name}"'
        raise Refused([Problem("not-a-fleet", "error", "", message, hint, file=str(path))])
    lines = key_lines(text)
    reading = _Reading(path.parent, overrides, _text(table, "name"), _text(table, "base"))
    for problem in _shape(table):
        line = line_of(lines, problem.path)
        place = f"{path}:{line}" if line else str(path)
        reading.found.add(dataclasses.replace(problem, file=place))
    raw = list(_raw_rows(table, path, lines, reading))
    rows = tuple(_rows(raw, reading))
    for name, wrong in _columns(raw, reading):
        reading.found.add(wrong, name)
    return Fleet(path, rows, reading.found.all)


def _is_spec(table: Mapping[str, object]) -> bool:
    return not _MARKS & table.keys() and bool(_MARKS_OF_SPECS & table.keys())


def _text(table: Mapping[str, object], key: str) -> str | None:
    value = table.get(key)
    return value if isinstance(value, str) else None


def _shape(table: Mapping[str, object]) -> Iterator[Problem]:
    """Yields what is wrong with the keys of the file itself."""
    for key, value in table.items():
        if key not in _KEYS:
            near = nearest(key, _KEYS)
            hint = f'did you mean "{near}"?' if near else f"valid here: {', '.join(_KEYS)}"
            if key in {path.partition(".")[0].partition("[")[0] for path in key_paths()}:
                hint = "keys of images belong in the base spec, or in a row"
            yield Problem("unknown-key", "error", key, f"unknown key, set to {show(value)}", hint)
        elif key in {"base", "name", "rows"} and not isinstance(value, str):
            yield _wrong_type(key, value, "text")
        elif key == "specs" and not (
            isinstance(value, list) and all(isinstance(one, str) for one in value)
        ):
            yield _wrong_type(key, value, "a list of paths")
        elif key == "row" and not (
            isinstance(value, list) and all(isinstance(one, Mapping) for one in value)
        ):
            yield _wrong_type(key, value, "tables, [[row]]")


def _wrong_type(key: str, value: object, expected: str) -> Problem:
    return Problem("wrong-type", "error", key, f"is {show(value)}, but must be {expected}")


def _raw_rows(
    table: Mapping[str, object], path: Path, lines: Mapping[str, int], reading: _Reading
) -> Iterator[RawRow]:
    """Yields the rows of all three places, as they were written."""
    count = 0
    for row in _each(table, path, lines, reading):
        count += 1
        if count > MOST_ROWS:
            message = f"has more than {MOST_ROWS} rows"
            reading.found.add(Problem("too-many-rows", "error", "", message, file=str(path)))
            return
        yield row
    if not count and not any(one.problem.severity == "error" for one in reading.found.all):
        hint = 'add [[row]] tables, rows = "FILE.csv", or specs = ["A.toml", "B.toml"]'
        reading.found.add(Problem("no-rows", "error", "", "has no rows", hint, file=str(path)))


def _each(
    table: Mapping[str, object], path: Path, lines: Mapping[str, int], reading: _Reading
) -> Iterator[RawRow]:
    specs = table.get("specs")
    for spec in specs if isinstance(specs, list) else ():
        if isinstance(spec, str):
            yield RawRow(f"{path}:{lines.get('specs', 1)}", {_SPEC: spec})
    name = _text(table, "rows")
    if name is not None:
        try:
            rows, problems = read_rows(reading.folder / home(name))
        except Refused as refused:
            rows, problems = [], list(refused.problems)
        for problem in problems:
            reading.found.add(problem)
        yield from rows
    inlined = table.get("row")
    for index, row in enumerate(inlined if isinstance(inlined, list) else ()):
        if isinstance(row, Mapping):
            line = line_of(lines, f"row[{index}]")
            raw, problems = inline(row, f"{path}:{line}" if line else str(path))
            for problem in problems:
                reading.found.add(problem)
            yield raw


def _rows(raw: Sequence[RawRow], reading: _Reading) -> Iterator[Row]:
    names: dict[str, list[str]] = defaultdict(list)
    for number, each in enumerate(raw, start=1):
        row = _row(each, number, reading)
        if row is not None:
            names[row.name].append(each.where)
            yield row
    for name, places in names.items():
        if len(places) > 1:
            message = f"{len(places)} rows are called {quote(name)}: {_listed(places)}"
            hint = "a name is an image's own; use a {column} in it that differs"
            reading.found.add(Problem("duplicate-name", "error", "name", message, hint), name)


def _listed(places: Sequence[str], most: int = 3) -> str:
    more = f" and {len(places) - most} more" if len(places) > most else ""
    return ", ".join(places[:most]) + more


def _row(raw: RawRow, number: int, reading: _Reading) -> Row | None:
    """Returns the row of what was written; None where it has no spec or no name."""
    values = {key: _said(value) for key, value in raw.columns.items()} | {_ROW: str(number)}
    base = _base(raw, values, reading)
    name = _name(raw, values, base, reading)
    if base is None or name is None:
        return None
    values[_NAME] = name
    reading.used |= base.used
    _unknown_places(base.table, values, reading, raw, name, str(base.path))
    table = placeholders.fill(base.table, values)
    assert isinstance(table, dict)
    keys = []
    for key, value in raw.columns.items():
        if not _is_key(key) and isinstance(value, list):
            wrong_type = _wrong_type(key, value, "text or a number: it fills placeholders")
            reading.found.add(dataclasses.replace(wrong_type, file=raw.where), name)
        if not _is_key(key) or key == _NAME or value == "":
            continue
        keys.append(key)
        _unknown_places({key: value}, values, reading, raw, name, raw.where)
        is_csv = isinstance(value, str) and raw.where.rpartition(":")[0].endswith(".csv")
        why = set_value(table, key, placeholders.fill(value, values), read=is_csv)
        if why:
            hint = "give the key in the base spec first"
            reading.found.add(Problem("bad-column", "error", key, why, hint, file=raw.where), name)
    keys += _append(table, raw, values, reading, name)
    table[_NAME] = name
    set_paths, wrong = apply_overrides(table, reading.overrides)
    spec, misshapen = converted(table)
    wrong += misshapen
    row = Row(
        number, name, raw.where, ImageSpec(name=name) if errors(wrong) else spec,
        base.path.absolute().parent, str(base.path), tuple(keys), set_paths, base.lines,
    )  # fmt: skip
    for problem in row.locate(wrong):
        reading.found.add(problem, name)
    return row


def _said(value: object) -> str:
    """Returns a column's value as a placeholder shows it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _is_key(column: str) -> bool:
    """Whether a column is named like a key of a spec, one that has a value."""
    steps = parse_path(column)
    declared = declared_at(steps) if steps else None
    if declared is None or is_section(declared):
        return False
    return not is_section(element_of(declared))


def _base(raw: RawRow, values: Mapping[str, str], reading: _Reading) -> _Base | None:
    """Returns the spec that a row starts from, read once for all of them."""
    own = raw.columns.get(_SPEC)
    named = own if isinstance(own, str) and own else reading.default
    if own is not None and not isinstance(own, str):
        reading.found.add(dataclasses.replace(_wrong_type(_SPEC, own, "a path"), file=raw.where))
        return None
    if named is None:
        hint = 'add base = "SPEC.toml" to the fleet, or a column spec to its rows'
        problem = Problem("no-base", "error", "base", "names no spec", hint, file=raw.where)
        reading.found.add(problem)
        return None
    reading.used |= set(placeholders.names(named))
    path = reading.folder / home(placeholders.filled(named, values))
    if path not in reading.bases:
        reading.bases[path] = _read_base(path, reading)
    return reading.bases[path]


def _read_base(path: Path, reading: _Reading) -> _Base | None:
    try:
        text = read_text(path)
        table = parse(text, str(path))
        check_schema(table, str(path), text)
    except Refused as refused:
        for problem in refused.problems:
            reading.found.add(problem)
        return None
    used = {name for _, text_ in placeholders.texts(table) for name in placeholders.names(text_)}
    return _Base(path, table, key_lines(text), frozenset(used))


def _name(
    raw: RawRow, values: Mapping[str, str], base: _Base | None, reading: _Reading
) -> str | None:
    """Returns what a row's image is called; None where nothing says, or it cannot be a name."""
    template, own = reading.template, values.get(_NAME, "")
    if template is not None:
        reading.used |= set(placeholders.names(template))
        missing = [each for each in placeholders.names(template) if each not in values]
        if missing:
            reading.found.add(_no_column(missing[0], values, "name", raw.where))
            return None
        name = placeholders.filled(template, values)
    elif own:
        name = placeholders.filled(own, values)
    elif base is not None and reading.default is None:
        name = _text(base.table, _NAME) or base.path.stem
    elif base is None:
        return None
    else:
        columns = [column for column in raw.columns if not _is_key(column)]
        example = f"image-{{{columns[0] if columns else _ROW}}}"
        hint = f'add name = "{example}" to the fleet, or a column name to its rows'
        problem = Problem("no-name", "error", "name", "has no name", hint, file=raw.where)
        reading.found.add(problem)
        return None
    why = _not_a_name(name)
    if why:
        hint = "it becomes a folder: one word or some, without slashes"
        reading.found.add(Problem("bad-name", "error", "name", why, hint, file=raw.where))
        return None
    return name


def _not_a_name(name: str) -> str:
    """Returns why a text cannot name an image and its folder, or ""."""
    size = len(name.encode(errors="replace"))
    if not name.strip():
        return "is empty"
    if "/" in name:
        return f"is {show(name)}: a file name cannot contain a slash"
    if not name.isprintable():
        return f"is {show(name)}: it contains a character that cannot be printed"
    if name.startswith("."):
        return f"is {show(name)}: with a dot in front it would be hidden"
    if name in _TAKEN:
        return f"is {show(name)}, which is the fleet's own record"
    if size > MAX_NAME_BYTES:
        return f"has {in_bytes(size)}, and {MAX_NAME_BYTES:,} is the most"
    return ""


def _append(
    table: dict[str, object],
    raw: RawRow,
    values: Mapping[str, str],
    reading: _Reading,
    name: str,
) -> Iterator[str]:
    """Adds a row's own contents and volumes; yields the key paths of what it added.

    A volume of an id that the spec has changes that one, as it does a preset's.
    """
    for list_name, entries in raw.added.items():
        there = table.setdefault(list_name, [])
        if not isinstance(there, list):
            continue  # of the wrong type in the base, which is said already
        for entry in entries:
            _unknown_places(entry, values, reading, raw, name, raw.where)
            new = placeholders.fill(entry, values)
            assert isinstance(new, dict)
            source = new.get("source")
            if isinstance(source, str) and source:
                # Relative to the file that it stands in; a slash at its end would get lost.
                slash = "/" if source.endswith("/") else ""
                new["source"] = str((reading.folder / home(source)).absolute()).rstrip("/") + slash
            at = _same_id(there, new) if list_name == "volume" else len(there)
            there[at : at + 1] = [{**there[at], **new} if at < len(there) else new]
            yield f"{list_name}[{at}]"


def _same_id(entries: Sequence[object], new: Mapping[str, object]) -> int:
    """Returns the index of the entry with an entry's id, or their number."""
    named = (
        index
        for index, entry in enumerate(entries)
        if isinstance(entry, Mapping) and entry.get("id") == new.get("id")
    )
    return next(named, len(entries))


def _unknown_places(
    table: object,
    values: Mapping[str, str],
    reading: _Reading,
    raw: RawRow,
    name: str,
    file: str,
) -> None:
    """Notes placeholders that no column fills, and those that one does."""
    for path, text in placeholders.texts(table):
        if "{" not in text:
            continue
        for each in placeholders.names(text):
            reading.used.add(each)
            if each not in values and path not in placeholders.SHELL:
                reading.found.add(_no_column(each, values, path, file), name)


def _no_column(name: str, values: Mapping[str, str], path: str, file: str) -> Problem:
    near = nearest(name, values)
    hint = f"did you mean {{{near}}}?" if near else f"there are: {', '.join(sorted(values))}"
    hint += f"; {{{{{name}}}}} stands for the text itself"
    message = f"no column fills {{{name}}}"
    return Problem("unknown-placeholder", "error", path, message, hint, file=file)


def _columns(raw: Sequence[RawRow], reading: _Reading) -> Iterator[tuple[str, Problem]]:
    """Yields the columns that nothing uses, each once."""
    seen: set[str] = set()
    for row in raw:
        for column in row.columns:
            if column in seen or column in {_SPEC, _NAME} or _is_key(column):
                continue
            seen.add(column)
            if column in reading.used:
                continue
            dotted = "." in column or "[" in column
            leaves = {path.rpartition(".")[2]: path for path in reversed(key_paths())}
            near = nearest(column, key_paths()) or leaves.get(nearest(column, leaves) or "")
            hint = f'did you mean "{near}"?' if near else "use it as a {placeholder}, or remove it"
            what = f"the column {show(column)} is neither a key of a spec nor a placeholder's name"
            severity: Severity = "error" if dotted else "warning"
            yield "", Problem("unknown-column", severity, "", what, hint, file=row.where)

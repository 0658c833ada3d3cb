"""`--set section.key=value`: edits to a parsed spec before it is checked."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Sequence

from engine.problem import Problem
from engine.spec.paths import Step, declared_at, parse_path
from engine.spec.shape import element_of, members


def _literal(text: str) -> object:
    """Returns a text read as a TOML value, or the text itself if it is not one."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text
    return table["value"] if table.keys() == {"value"} else text


def _value(text: str, declared: object) -> object:
    value = _literal(text)
    kinds = members(declared)
    listed = isinstance(value, list) and any(element_of(kind) is not None for kind in kinds)
    if str in kinds and type(value) not in kinds and not listed:
        return text
    return value


def _problem(text: str, reason: str) -> Problem:
    return Problem(
        "bad-override",
        "error",
        "",
        f'"{text}" {reason}',
        'write section.key=value, as in size.disk=4GiB or "contents[0].target=/srv"',
        file="--set",
    )


def _put(table: dict[str, object], steps: Sequence[Step], value: object) -> str:
    """Stores a value at a path, making what is not there; returns why not, or ""."""
    current: object = table
    for position, (name, index) in enumerate(steps):
        assert isinstance(current, dict)
        last = position == len(steps) - 1
        if index is None:
            if last:
                current[name] = value
                return ""
            current = current.setdefault(name, {})
        else:
            entries = current.setdefault(name, [])
            if not isinstance(entries, list) or index > len(entries):
                have = len(entries) if isinstance(entries, list) else 0
                return f"names entry {index} of {name}, which has {have}"
            if index == len(entries):
                entries.append(value if last else {})
            elif last:
                entries[index] = value
            current = entries[index]
        if not last and not isinstance(current, dict):
            return f"goes through {name}, which is not a table"
    return ""


def set_value(table: dict[str, object], path: str, value: object, *, read: bool) -> str:
    """Stores one value in a parsed spec, in place; returns why it cannot be, or "".

    Args:
        table: The spec.
        path: A key path.
        value: What goes there.
        read: A text is read as those of `--set` are; otherwise it stays a text.
    """
    steps = parse_path(path)
    if steps is None:
        return "is not a key path"
    if read and isinstance(value, str):
        value = _value(value.strip(), declared_at(steps))
    return _put(table, steps, value)


def apply_overrides(
    table: dict[str, object], overrides: Iterable[str]
) -> tuple[tuple[str, ...], list[Problem]]:
    """Applies overrides to a parsed spec in place, in order.

    A value is read as a TOML literal, or as text where it is not one or the key takes text only. An
    index one past the end of a list adds an entry.

    Returns:
        The key paths that were set, and what is wrong with the overrides themselves.
    """
    paths: list[str] = []
    problems: list[Problem] = []
    for override in overrides:
        path, equals, text = override.partition("=")
        path = path.strip()
        steps = parse_path(path)
        if not equals:
            problems.append(_problem(override, "has no ="))
        elif steps is None:
            problems.append(_problem(override, "has no key path before the ="))
        elif reason := _put(table, steps, _value(text.strip(), declared_at(steps))):
            problems.append(_problem(override, reason))
        else:
            paths.append(path)
    return tuple(paths), problems

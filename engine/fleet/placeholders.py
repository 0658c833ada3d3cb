"""{placeholders} in the texts of a spec: which there are, and what is put in their place.

A placeholder is a name in braces. "{{" and "}}" around a name stand for single braces, and
"${name}" is a shell's, not ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_NAME = r"[A-Za-z_][A-Za-z0-9_.-]*"
_PLACE = re.compile(rf"\{{\{{(?P<plain>{_NAME})\}}\}}|(?<![${{])\{{(?P<name>{_NAME})\}}(?!\}})")

SHELL = frozenset({"hooks.after_build"})
"""Keys with a shell's text, in which braces that we do not know are the shell's."""


def names(text: str) -> Iterator[str]:
    """Yields the names of a text's placeholders."""
    for match in _PLACE.finditer(text):
        if match["name"] is not None:
            yield match["name"]


def filled(text: str, values: Mapping[str, str]) -> str:
    """Returns a text with the values in place; a name without one stays as it is."""

    def put(match: re.Match[str]) -> str:
        if match["plain"] is not None:
            return f"{{{match['plain']}}}"
        return values.get(match["name"], match[0])

    return _PLACE.sub(put, text)


def texts(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yields key path and text of everything in a table, at any depth."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from texts(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from texts(inner, f"{path}[{index}]")


def fill(value: object, values: Mapping[str, str]) -> object:
    """Returns a table with the values in place everywhere."""
    if isinstance(value, str):
        return filled(value, values) if "{" in value else value
    if isinstance(value, Mapping):
        return {key: fill(inner, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, values) for inner in value]
    return value

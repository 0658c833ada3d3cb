"""What a spec says, key by key, as exporters go through it."""

from __future__ import annotations

from collections.abc import Iterator

from engine.spec.model import Section
from engine.spec.shape import fields_of


def general(path: str) -> str:
    """Returns the path that the table of keys has: contents[2].mode is contents[].mode."""
    head, bracket, rest = path.partition("[")
    return f"{head}[]{rest.partition(']')[2]}" if bracket else path


def given(section: Section, path: str) -> Iterator[tuple[str, object]]:
    """Yields key paths and values of all that was said."""
    for name in fields_of(type(section)):
        value = getattr(section, name)
        where = f"{path}.{name}" if path else name
        if isinstance(value, Section):
            yield from given(value, where)
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            for index, entry in enumerate(value):
                yield from given(entry, f"{where}[{index}]")
        elif value is not None and value != () and value is not False:
            yield where, value

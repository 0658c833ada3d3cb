"""Key paths ("size.boot", "contents[2].target"): reading and replacing what they name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from engine.spec.model import ImageSpec, Section
from engine.spec.shape import element_of, fields_of, is_section

_STEP = re.compile(r"(?P<name>[^.\[\]]+)(?:\[(?P<index>[0-9]{1,6})\])?")
Step = tuple[str, int | None]


def home(text: str) -> str:
    """Returns a path with the home folder for a ~ or ~USER at its beginning, as a shell has it.

    A file of that name is `./~`, and one of a user that is not there stays as it is.
    """
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        return text


def parse_path(path: str) -> tuple[Step, ...] | None:
    """Returns the steps of a key path ("contents[0].target"), or None if it is not one."""
    steps = []
    for part in path.split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            return None
        steps.append((match["name"], int(match["index"]) if match["index"] else None))
    return tuple(steps)


def declared_at(steps: Sequence[Step]) -> object:
    """Returns the type that the model declares at a path, or None where it has no such key."""
    declared: object = ImageSpec
    for name, index in steps:
        if not is_section(declared):
            return None
        declared = fields_of(declared).get(name)
        if index is not None:
            declared = element_of(declared)
    return declared


def value_at(spec: ImageSpec, steps: Sequence[Step]) -> object:
    """Returns the value at a path that the model declares.

    Raises:
        IndexError: A list has no such entry.
    """
    value: object = spec
    for name, index in steps:
        value = getattr(value, name)
        if index is not None:
            assert isinstance(value, tuple)
            value = value[index]
    return value


def replace_at(spec: ImageSpec, steps: Sequence[Step], value: object) -> ImageSpec:
    """Returns the spec with the value at a declared path replaced; None takes the default.

    None for a list entry removes the entry.

    Raises:
        IndexError: A list has no such entry.
    """
    replaced = _replace(spec, steps, value)
    assert isinstance(replaced, ImageSpec)
    return replaced


def _replace(section: Section, steps: Sequence[Step], value: object) -> Section:
    (name, index), rest = steps[0], steps[1:]
    current = getattr(section, name)
    new: object
    if index is not None:
        entry = current[index]
        inner = (_replace(entry, rest, value),) if rest else () if value is None else (value,)
        new = (*current[:index], *inner, *current[index + 1 :])
    elif rest:
        new = _replace(current, rest, value)
    else:
        new = _default(section, name) if value is None else value
    return msgspec.structs.replace(section, **{name: new})


def _default(section: Section, name: str) -> object:
    return next(f.default for f in msgspec.structs.fields(section) if f.name == name)

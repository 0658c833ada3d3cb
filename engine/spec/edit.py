"""Edits to a spec, as the wizard makes them: pure, each giving a new spec."""

from __future__ import annotations

import msgspec

from engine.problem import Fix, Problem, Refused
from engine.spec import values
from engine.spec.model import Content, ImageSpec, Section
from engine.spec.paths import declared_at, parse_path, replace_at
from engine.spec.shape import check_value, key_paths, unknown_key

_REQUIRED = frozenset(field.name for field in msgspec.structs.fields(Content) if field.required)


def apply(spec: ImageSpec, path: str, value: object) -> ImageSpec:
    """Returns the spec with one value changed.

    Args:
        path: "size.boot", "contents[2].target", "contents[2]", "contents".
        value: The new value; None leaves the key out, or removes a list entry. Lists may be
            lists or tuples, tables mappings.

    Raises:
        Refused: There is no such key, or the value is wrong on its own. What is wrong only with
            other keys is left to `engine.spec.resolve`.
    """
    changed = _put(spec, path, value)
    wrong = [
        problem
        for problem in values.check(changed)
        if problem.path == path or problem.path.startswith((f"{path}.", f"{path}["))
    ]
    if wrong:
        raise Refused(wrong)
    return changed


def apply_fix(spec: ImageSpec, fix: Fix) -> ImageSpec:
    """Returns the spec with all edits of a fix made.

    Raises:
        Refused: An edit does not apply to this spec (any more).
    """
    for path, value in fix.edits:
        spec = apply(spec, path, value)
    return spec


def append_content(spec: ImageSpec, entry: Content) -> ImageSpec:
    """Returns the spec with one more entry of contents, at the end."""
    return msgspec.structs.replace(spec, contents=(*spec.contents, entry))


def remove_content(spec: ImageSpec, index: int) -> ImageSpec:
    """Returns the spec without an entry of contents.

    Raises:
        Refused: There is no such entry.
    """
    if not 0 <= index < len(spec.contents):
        raise Refused([_no_entry(f"contents[{index}]", len(spec.contents))])
    return msgspec.structs.replace(
        spec, contents=spec.contents[:index] + spec.contents[index + 1 :]
    )


def _put(spec: ImageSpec, path: str, value: object) -> ImageSpec:
    steps = parse_path(path)
    declared = declared_at(steps) if steps else None
    if steps is None or declared is None:
        raise Refused([unknown_key(path, value, key_paths())])
    if value is not None:
        known = isinstance(value, Section) and type(value) is declared
        wrong = [] if known else list(check_value(value, declared, path))
        if wrong:
            raise Refused(wrong)
        value = msgspec.convert(value, declared, from_attributes=True)
    elif steps[0][0] == "contents" and steps[-1][0] in _REQUIRED:
        raise Refused([Problem("missing-key", "error", path, "is required")])
    try:
        return replace_at(spec, steps, value)
    except IndexError:
        raise Refused([_no_entry(path, len(spec.contents))]) from None


def _no_entry(path: str, count: int) -> Problem:
    return Problem("no-such-entry", "error", path, f"there is none; the list has {count} entries")

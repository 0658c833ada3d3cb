"""Reads a file of arguments; what in it is no literal, nix evaluates where there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from engine.nix import ask
from engine.nix.literal import NotNix, read
from engine.nix.values import Opaque, Value, show_text


def arguments(text: str, path: Path, environment: Mapping[str, str]) -> Mapping[str, Value]:
    """Returns the arguments of a call.

    Args:
        text: Nix source: an attribute set, or a call with one.
        path: The file it is from.
        environment: The environment of nix.

    Raises:
        NotNix: It is neither, for nix too where there is one.
    """
    whole = _Evaluation(path, environment)
    try:
        found = read(text, str(path.absolute().parent))
    except NotNix:
        if whole.value is None:
            raise
        return whole.value
    result = {}
    for name, value in found.items():
        closed = _closed(value, environment)
        if isinstance(closed, Opaque) and whole.value is not None:
            closed = whole.value.get(name, closed)
        result[name] = closed
    return result


class _Evaluation:
    """What nix makes of the whole file, asked only if somebody wants to know."""

    def __init__(self, path: Path, environment: Mapping[str, str]) -> None:
        self._expression = f"import (/. + {show_text(str(path.absolute()))})"
        self._environment = environment
        self._asked = False
        self._value: Mapping[str, Value] | None = None

    @property
    def value(self) -> Mapping[str, Value] | None:
        """The arguments, or None where nix is missing or gives none."""
        if not self._asked:
            self._asked = True
            answer = _evaluated(self._expression, self._environment)
            self._value = answer if isinstance(answer, dict) else None
        return self._value


def _closed(value: Value, environment: Mapping[str, str]) -> Value:
    """Returns a value with every expression that depends on nothing evaluated."""
    if isinstance(value, Opaque):
        return _evaluated(value.text, environment)
    if isinstance(value, Mapping):
        return {name: _closed(item, environment) for name, item in value.items()}
    if isinstance(value, list):
        return [_closed(item, environment) for item in value]
    return value


def _evaluated(expression: str, environment: Mapping[str, str]) -> Value:
    """Returns the value of an expression, or the expression where nix has none for it."""
    try:
        ask.require(environment)
        value: Value = json.loads(ask.literal(f"({expression}\n)", environment))
    except (ask.NixMissing, ask.NixFailed):
        return Opaque(expression)
    return value

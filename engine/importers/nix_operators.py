"""Nix's operators on values that are known: arithmetic, texts, paths, lists and sets."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from engine.importers.nix_texts import joined
from engine.importers.nix_tree import NotKnown
from engine.nix.values import Path, Value

_INTEGERS = range(-(1 << 63), 1 << 63)
"""Nix's integers."""
_MOST_DIGITS = 20


def integer(text: str) -> int:
    """Returns an integer as it is written.

    Raises:
        NotKnown: Nix has no such integer.
    """
    return _in_range(int(text) if len(text) < _MOST_DIGITS else _INTEGERS.stop)


def binary(operator: str, left: Value, right: Value) -> Value:
    """Returns what an operator makes of two values.

    Raises:
        NotKnown: It is none of those that arguments are made with, or not for such values.
    """
    work = _BINARY.get(operator)
    if work is None:
        raise NotKnown
    return work(left, right)


def unary(operator: str, value: Value) -> Value:
    """Returns what an operator makes of a value.

    Raises:
        NotKnown: As `binary` does.
    """
    if operator == "!" and isinstance(value, bool):
        return not value
    if operator == "-" and isinstance(value, int | float) and not isinstance(value, bool):
        return -value
    raise NotKnown


def _sum(left: Value, right: Value) -> Value:
    if isinstance(left, str) and isinstance(right, str):
        return joined([left, right])
    if isinstance(left, Path) and isinstance(right, str | Path):
        more = right if isinstance(right, str) else right.text
        return Path("/" + os.path.normpath(left.text + more).lstrip("/"))
    return _in_range(_integer(left) + _integer(right))


def _concatenation(left: Value, right: Value) -> Value:
    if isinstance(left, list) and isinstance(right, list):
        return [*left, *right]
    raise NotKnown


def _update(left: Value, right: Value) -> Value:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return {**left, **right}
    raise NotKnown


_BINARY: dict[str, Callable[[Value, Value], Value]] = {
    "+": _sum,
    "-": lambda left, right: _in_range(_integer(left) - _integer(right)),
    "*": lambda left, right: _in_range(_integer(left) * _integer(right)),
    "++": _concatenation,
    "//": _update,
}


def _integer(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise NotKnown
    return value


def _in_range(number: int) -> int:
    if number not in _INTEGERS:
        raise NotKnown
    return number

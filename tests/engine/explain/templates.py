"""The words that the source has for each code: the texts that go along with it, as patterns.

What is filled in when the program runs matches anything. A name stands for what its function, or
its module, assigns to it; what cannot be found out so matches anything, too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.engine.explain.codes import Function, Module, calls_with_codes

_ANYTHING = ".*?"
_MOST = 64
"""Patterns of one text, where it branches; of one with more, nothing is known."""


def shares(examples: dict[str, str]) -> dict[str, float]:
    """Returns how much of each example the source says word for word, by code: 0 to 1.

    Args:
        examples: A message by its code.
    """
    best = dict.fromkeys(examples, 0.0)
    for module, call, function, codes in calls_with_codes():
        texts = [*call.args, *(one.value for one in call.keywords if one.arg != "code")]
        for code in codes:
            if code is None or code not in examples:
                continue
            example = examples[code]
            said = [False] * len(example)
            for text in texts:
                _mark(said, example, _patterns(text, function, module))
            best[code] = max(best[code], sum(said) / len(example))
    return best


def _mark(said: list[bool], example: str, patterns: set[str]) -> None:
    """Marks the characters of an example that the pattern with most words of its own explains."""
    spans: list[tuple[int, int]] = []
    for pattern in patterns:
        found = re.search(pattern, example)
        if found is not None:
            mine = [found.span(number) for number in range(1, len(found.groups()) + 1)]
            spans = max(spans, mine, key=lambda every: sum(end - at for at, end in every))
    for at, end in spans:
        said[at:end] = [True] * (end - at)


def _patterns(
    text: ast.expr, function: Function | None, module: Module, depth: int = 0
) -> set[str]:
    every = set(_each(text, function, module, depth))
    return every if len(every) <= _MOST else {_ANYTHING}


def _each(text: ast.expr, function: Function | None, module: Module, depth: int) -> Iterator[str]:
    """Yields what a text can be: its own words in groups, anything between them."""
    if isinstance(text, ast.Constant) and isinstance(text.value, str):
        yield f"({re.escape(text.value)})" if text.value else ""
    elif isinstance(text, ast.JoinedStr):
        yield from _joined(text.values, function, module, depth)
    elif isinstance(text, ast.FormattedValue):
        yield from _patterns(text.value, function, module, depth + 1)
    elif isinstance(text, ast.BinOp) and isinstance(text.op, ast.Add):
        yield from _joined([text.left, text.right], function, module, depth)
    elif isinstance(text, ast.IfExp):
        yield from _patterns(text.body, function, module, depth)
        yield from _patterns(text.orelse, function, module, depth)
    elif isinstance(text, ast.BoolOp):
        for one in text.values:
            yield from _patterns(one, function, module, depth)
    elif isinstance(text, ast.Name) and depth < 4 and (values := _assigned(text, function, module)):
        for value in values:
            yield from _patterns(value, function, module, depth + 1)
    else:
        yield _ANYTHING


def _joined(
    parts: list[ast.expr], function: Function | None, module: Module, depth: int
) -> set[str]:
    beginnings = {""}
    for part in parts:
        beginnings = {a + b for a in beginnings for b in _patterns(part, function, module, depth)}
        if len(beginnings) > _MOST:
            return {_ANYTHING}
    return beginnings


def _assigned(name: ast.Name, function: Function | None, module: Module) -> list[ast.expr]:
    """Returns what a name of a function, or of its module, is set to."""
    inside = [] if function is None else list(ast.walk(function))
    for nodes in (inside, module.tree.body):
        values = [
            node.value
            for node in nodes
            if isinstance(node, ast.Assign)
            and any(isinstance(one, ast.Name) and one.id == name.id for one in node.targets)
        ]
        if values:
            return values
    return []

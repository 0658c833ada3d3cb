"""Finds calls of make-disk-image in Nix source, wherever in a file they are, without Nix."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import tree_sitter_nix
from tree_sitter import Language, Node, Parser

from engine.importers.nix_bindings import NotNix
from engine.importers.nix_expressions import Evaluator
from engine.importers.nix_scope import Scope
from engine.importers.nix_tree import (
    SETS,
    NotKnown,
    bare,
    chain,
    is_operator,
    line_of,
    operand,
    source_of,
)  # fmt: skip
from engine.nix.values import Value

__all__ = ["Call", "NotNix", "calls"]

_MENTION = re.compile(r"make-?disk-?image", re.IGNORECASE)
_WRAPPERS = frozenset(
    {"let_expression", "with_expression", "assert_expression", "function_expression"}
)


@dataclass(frozen=True, slots=True)
class Call:
    """The arguments of a call, or a set of arguments alone.

    Attributes:
        line: Where it begins.
        arguments: By name.
        lines: Where each stands, by name ("diskSize", "contents[0].source").
        unread: Line and source of what else goes in, whose names only Nix can tell.
        found: Whether it is a call of make-disk-image, rather than a set that may be its arguments.
    """

    line: int
    arguments: Mapping[str, Value]
    lines: Mapping[str, int]
    unread: tuple[tuple[int, str], ...] = ()
    found: bool = True


def calls(text: str, folder: str) -> list[Call]:
    """Returns the calls of make-disk-image that a file holds, wherever they are, in its order.

    Without any, a file that is an attribute set, or a function or call around one, counts as the
    arguments themselves; a file that is neither gives an empty list.

    Args:
        text: Nix source: a package, a module, a flake.
        folder: What relative paths start from.

    Raises:
        NotNix: It is not Nix.
    """
    root = Parser(Language(tree_sitter_nix.language())).parse(text.encode()).root_node
    finder = _Finder(folder)
    try:
        found = list(finder.calls(root, Scope()))
        if root.has_error and not found:
            raise _wrong(_first_error(root))
        top = root.child_by_field_name("expression")
        alone = finder.alone(top, Scope()) if not found and top is not None else None
    except RecursionError:
        raise NotNix("lists, sets or calls are nested too deeply") from None
    return found if alone is None else [alone]


def _first_error(root: Node) -> Node:
    """Returns the first node, in the text's order, that the grammar has no place for."""
    node = root
    while not (node.is_error or node.is_missing):
        node = next(child for child in node.children if child.has_error or child.is_missing)
    return node


def _wrong(node: Node) -> NotNix:
    where = f"line {line_of(node)}, column {node.start_point.column + 1}"
    if node.is_missing:
        return NotNix(f'{where}: expected "{node.type}"')
    shown = source_of(node).split("\n", 1)[0][:20]
    return NotNix(f"{where}: not Nix, from {shown!r} on")


class _Finder:
    """Goes through the tree of one file."""

    def __init__(self, folder: str) -> None:
        self._evaluator = Evaluator(folder)

    def calls(self, node: Node, scope: Scope) -> Iterator[Call]:
        """Yields the calls at and below a node."""
        if node.type == "apply_expression" and not node.has_error:
            parts = chain(node)
            if self._is_call(parts, scope):
                yield self._call(parts[-1], scope, line_of(node), found=True)
                return
        inner = self._evaluator.inside(node, scope)
        for child in node.children:
            yield from self.calls(child, inner)

    def _is_call(self, parts: Sequence[Node], scope: Scope) -> bool:
        """Whether a function and what it is applied to are a call of make-disk-image."""
        last = bare(parts[-1])
        if last.type == "variable_expression":
            known = scope.node(source_of(last))
            is_set = known is not None and bare(known).type in SETS
        else:
            is_set = last.type in SETS or is_operator(last, "//")
        return is_set and any(_mentions(part, scope) for part in parts[:-1])

    def alone(self, node: Node, scope: Scope) -> Call | None:
        """Returns the set that a whole file is, behind its own arguments and a function's name."""
        node = bare(node)
        while node.type in _WRAPPERS:
            scope = self._evaluator.inside(node, scope)
            body = node.child_by_field_name("body")
            if body is None:
                return None
            node = bare(body)
        if node.type == "apply_expression" and not node.has_error:
            node = bare(chain(node)[-1])
        if node.type in SETS or is_operator(node, "//"):
            return self._call(node, scope, line_of(node), found=False)
        return None

    def _call(self, node: Node, scope: Scope, line: int, *, found: bool) -> Call:
        self._evaluator.lines, self._evaluator.unread = {}, []
        arguments = self._merged(bare(node), scope)
        return Call(line, arguments, self._evaluator.lines, tuple(self._evaluator.unread), found)

    def _merged(self, node: Node, scope: Scope) -> dict[str, Value]:
        """Returns what is known of an argument set; the evaluator's `unread` takes the rest."""
        evaluator = self._evaluator
        if is_operator(node, "//"):
            left, right = (operand(node, side) for side in ("left", "right"))
            return self._merged(bare(left), scope) | self._merged(bare(right), scope)
        if node.type in SETS:
            return evaluator.attributes(node, scope, "", whole=True)
        value: Value = None
        with suppress(NotKnown):
            value = evaluator.value(node, scope)
        if isinstance(value, Mapping):
            for name in value:
                evaluator.lines.setdefault(name, line_of(node))
            return dict(value)
        evaluator.unread.append((line_of(node), source_of(node)))
        return {}


def _mentions(node: Node, scope: Scope) -> bool:
    """Whether a function, or what leads to it, names the file of make-disk-image."""
    if _MENTION.search(source_of(node)):
        return True
    variable = bare(node)
    known = scope.node(source_of(variable)) if variable.type == "variable_expression" else None
    if known is None or not _MENTION.search(source_of(known)):
        return False
    # A path, or the import of one: an image made by a call is not the function.
    known = bare(known)
    if known.type == "apply_expression":
        return len(chain(known)) == 2
    return known.type not in SETS

"""The tree that tree-sitter makes of Nix source: what its nodes are called and made of."""

from __future__ import annotations

from tree_sitter import Node

SETS = frozenset({"attrset_expression", "rec_attrset_expression"})
_GLOBALS = frozenset(
    ("true", "false", "null", "builtins", "import", "toString", "map", "throw", "abort",
     "removeAttrs", "baseNameOf", "dirOf", "isNull")
)  # fmt: skip
_BINDING = frozenset({"formal", "attrpath", "function_expression"})
"""Whose names are an expression's own."""


class NotKnown(Exception):
    """What stands here only Nix can evaluate."""


def line_of(node: Node) -> int:
    """Returns the line that a node begins on, the first being 1."""
    return node.start_point.row + 1


def source_of(node: Node) -> str:
    """Returns a node's text."""
    return (node.text or b"").decode(errors="replace")


def bare(node: Node) -> Node:
    """Returns what parentheses are around."""
    while node.type == "parenthesized_expression":
        inner = node.child_by_field_name("expression")
        if inner is None:
            break
        node = inner
    return node


def chain(node: Node) -> list[Node]:
    """Returns a function and its arguments, of `f a b`."""
    found: list[Node] = []
    while node.type == "apply_expression":
        found.append(operand(node, "argument"))
        node = bare(operand(node, "function"))
    return [node, *reversed(found)]


def operand(node: Node, name: str) -> Node:
    """Returns a part of an expression by its name in the grammar.

    Raises:
        NotKnown: It is missing, as in a text with errors.
    """
    child = node.child_by_field_name(name)
    if child is None:
        raise NotKnown
    return child


def operator_of(node: Node) -> str:
    """Returns the operator of an expression, or ""."""
    found = node.child_by_field_name("operator")
    return "" if found is None else found.type


def is_operator(node: Node, operator: str) -> bool:
    """Whether an expression is that of an operator."""
    return operator_of(node) == operator


def is_closed(node: Node) -> bool:
    """Whether an expression depends on nothing outside of it, so that Nix alone can tell it."""
    names, own = set(), set()
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if one.type == "variable_expression":
            names.add(source_of(one))
        elif one.type == "identifier" and one.parent is not None and one.parent.type in _BINDING:
            own.add(source_of(one))
        waiting += one.children
    return names <= _GLOBALS | own and not node.has_error

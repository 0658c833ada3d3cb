"""What a set or a `let` binds to its names: expressions, sets put together, what is inherited."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tree_sitter import Node

from engine.importers.nix_tree import NotKnown, line_of, source_of


class NotNix(ValueError):
    """The text is not Nix, or has no arguments in it; the message has line and column."""


@dataclass(slots=True)
class Inherited:
    """`inherit name;` or `inherit (origin) name;`."""

    name: str
    origin: Node | None
    line: int


Bound = Node | Inherited | dict[str, "Bound"]


@dataclass(slots=True)
class Bindings:
    """The bindings of a set.

    Attributes:
        by_name: With `a.b = 1; a.c = 2;` as one.
        unnamed: Line and source of those whose names only Nix can tell.
    """

    by_name: dict[str, Bound] = field(default_factory=dict)
    unnamed: list[tuple[int, str]] = field(default_factory=list)


def bindings_of(node: Node, name_of: Callable[[Node], str]) -> Bindings:
    """Returns what a set, or a `let`, binds.

    Args:
        node: The set, or the `let`.
        name_of: Returns the name that a node of an attribute path stands for, or raises `NotKnown`.

    Raises:
        NotNix: A name is set twice.
    """
    result = Bindings()
    holder = next((child for child in node.children if child.type == "binding_set"), None)
    for binding in [] if holder is None else holder.children_by_field_name("binding"):
        if binding.type in {"inherit", "inherit_from"}:
            _inherit(binding, result.by_name)
            continue
        path, value = (binding.child_by_field_name(x) for x in ("attrpath", "expression"))
        if path is None or value is None:
            continue
        try:
            names = [name_of(attr) for attr in path.children_by_field_name("attr")]
        except NotKnown:
            result.unnamed.append((line_of(binding), source_of(binding)))
            continue
        _put(result.by_name, names, value, name_of)
    return result


def line_of_bound(bound: Bound) -> int | None:
    """Returns the line of the first expression behind a name."""
    while isinstance(bound, dict) and bound:
        bound = next(iter(bound.values()))
    if isinstance(bound, Node):
        return line_of(bound)
    return bound.line if isinstance(bound, Inherited) else None


def _inherit(binding: Node, by_name: dict[str, Bound]) -> None:
    attrs = binding.child_by_field_name("attrs")
    origin = binding.child_by_field_name("expression")
    for attr in [] if attrs is None else attrs.children_by_field_name("attr"):
        name = source_of(attr).strip('"')
        by_name[name] = Inherited(name, origin, line_of(attr))


def _put(
    by_name: dict[str, Bound], names: list[str], value: Node, name_of: Callable[[Node], str]
) -> None:
    for name in names[:-1]:
        inner = by_name.setdefault(name, {})
        if isinstance(inner, Node) and inner.type == "attrset_expression":
            inner = by_name[name] = bindings_of(inner, name_of).by_name
        if not isinstance(inner, dict):
            raise NotNix(f"line {line_of(value)}: {name} is set twice")
        by_name = inner
    last = names[-1]
    there = by_name.get(last)
    if isinstance(there, dict) and value.type == "attrset_expression":
        for name, bound in bindings_of(value, name_of).by_name.items():
            if name in there:
                raise NotNix(f"line {line_of(value)}: {last}.{name} is set twice")
            there[name] = bound
    elif there is not None:
        raise NotNix(f"line {line_of(value)}: {last} is set twice")
    else:
        by_name[last] = value

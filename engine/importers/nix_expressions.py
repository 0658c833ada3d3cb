"""Works out Nix expressions as far as their values follow from one file alone, without Nix.

Literals, `let`, `rec`, `inherit`, a function's own defaults, texts with `${...}`, `+`, `++`, `//`;
any other expression is kept as its source. The grammar is tree-sitter's. Meaning: the Nix manual,
"Nix Language".
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tree_sitter import Node

from engine.importers.nix_bindings import Bindings, Bound, Inherited, bindings_of, line_of_bound
from engine.importers.nix_operators import binary, integer, unary
from engine.importers.nix_scope import Later, Scope, given
from engine.importers.nix_texts import joined, line_ends, unindented
from engine.importers.nix_tree import (
    NotKnown,
    chain,
    is_closed,
    line_of,
    operand,
    operator_of,
    source_of,
)  # fmt: skip
from engine.nix.values import Buildable, Import, Opaque, Path, Value

MOST_STEPS = 200_000
"""Expressions worked out for one file; a `let` that doubles itself ends here."""

_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_STAND_IN = 0xF0000
"""First of the private characters that stand for `${...}` while a text is unindented."""


@dataclass(slots=True)
class Evaluator:
    """Works out values over the tree of one file."""

    folder: str
    steps: int = 0
    lines: dict[str, int] = field(default_factory=dict)
    unread: list[tuple[int, str]] = field(default_factory=list)

    # ------------------------------------------------------------------ names

    def inside(self, node: Node, scope: Scope) -> Scope:
        """Returns the names in sight inside of an expression."""
        if node.type == "function_expression":
            return self._function(node, scope)
        if node.type in {"let_expression", "rec_attrset_expression", "let_attrset_expression"}:
            return self._names_bound(node, scope)
        return scope

    def _function(self, node: Node, scope: Scope) -> Scope:
        """Returns the scope of a function's body: its arguments, and their defaults."""
        inner = Scope(around=scope)
        formals = node.child_by_field_name("formals")
        for formal in [] if formals is None else formals.children_by_field_name("formal"):
            name_node = formal.child_by_field_name("name")
            if name_node is None:
                continue
            name = source_of(name_node)
            default = formal.child_by_field_name("default")
            if default is None:
                inner.names[name] = given(name)
            else:
                inner.names[name] = self._later(default, inner)
                inner.nodes[name] = default
        universal = node.child_by_field_name("universal")
        if universal is not None:
            inner.names[source_of(universal)] = given(source_of(universal))
        return inner

    def _names_bound(self, node: Node, scope: Scope) -> Scope:
        """Returns the scope of a `let` or `rec`, whose names see each other."""
        inner = Scope(around=scope)
        for name, bound in self._bindings_of(node, scope).by_name.items():
            inner.names[name] = self._bound(bound, inner, scope, "")
            if isinstance(bound, Node):
                inner.nodes[name] = bound
        return inner

    def _bindings_of(self, node: Node, scope: Scope) -> Bindings:
        return bindings_of(node, lambda attr: self._key(attr, scope))

    def _key(self, attr: Node, scope: Scope) -> str:
        """Returns an attribute's name.

        Raises:
            NotKnown: Only Nix can tell.
        """
        if attr.type == "identifier":
            return source_of(attr)
        if attr.type == "interpolation":
            inner = attr.child_by_field_name("expression")
            value = self.value(inner, scope) if inner is not None else None
        else:
            value = self.value(attr, scope)
        if not isinstance(value, str):
            raise NotKnown
        return value

    def _later(self, node: Node, scope: Scope, path: str = "") -> Later:
        return Later(lambda: self._known_or_source(node, scope, path))

    def _bound(self, bound: Bound, inside: Scope, outside: Scope, path: str) -> Later:
        """Returns the value of a binding.

        Args:
            bound: What stands behind the name.
            inside: The names its expression sees.
            outside: Those that a plain `inherit` sees.
            path: The argument that it is, for `lines`.
        """
        if isinstance(bound, Inherited):
            return Later(lambda: self._inherited(bound, inside, outside))
        if isinstance(bound, dict):
            return Later(
                lambda: {
                    key: self._bound(one, inside, outside, _below(path, key)).value()
                    for key, one in bound.items()
                }
            )
        return self._later(bound, inside, path)

    def _inherited(self, bound: Inherited, inside: Scope, outside: Scope) -> Value:
        if bound.origin is None:
            known = outside.find(bound.name)
            return known.value() if known is not None else Opaque(bound.name)
        try:
            whole = self.value(bound.origin, inside)
        except NotKnown:
            whole = None
        if isinstance(whole, Mapping) and bound.name in whole:
            return whole[bound.name]
        return Opaque(f"({source_of(bound.origin)}).{bound.name}")

    # ------------------------------------------------------------------ values

    def _known_or_source(self, node: Node, scope: Scope, path: str = "") -> Value:
        """Returns the value of an expression, or the expression."""
        try:
            return self.value(node, scope, path)
        except NotKnown:
            return Opaque(source_of(node), closed=is_closed(node))

    def value(self, node: Node, scope: Scope, path: str = "") -> Value:
        """Returns the value of an expression.

        Args:
            node: The expression.
            scope: The names it sees.
            path: The argument that it is, for `lines`.

        Raises:
            NotKnown: Only Nix can tell.
        """
        self.steps += 1
        work = _WORK.get(node.type)
        if work is None or self.steps > MOST_STEPS or node.has_error:
            raise NotKnown
        return work(self, node, scope, path)

    def _inner(self, node: Node, scope: Scope, path: str) -> Value:
        """Works out what parentheses, `let`, `with` and `assert` are around."""
        body = node.child_by_field_name("body") or node.child_by_field_name("expression")
        if body is None:
            raise NotKnown
        return self.value(body, self.inside(node, scope), path)

    def _number(self, node: Node, _scope: Scope, _path: str) -> Value:
        text = source_of(node)
        if node.type == "float_expression":
            return float(text)
        return integer(text)

    def _variable(self, node: Node, scope: Scope, _path: str) -> Value:
        name = source_of(node)
        known = scope.find(name)
        if known is not None:
            return known.value()
        if name in _CONSTANTS:
            return _CONSTANTS[name]
        return Opaque(name)

    def _list(self, node: Node, scope: Scope, path: str) -> Value:
        found: list[Value] = []
        for index, item in enumerate(node.children_by_field_name("element")):
            where = f"{path}[{index}]"
            if path:
                self.lines.setdefault(where, line_of(item))
            found.append(self._known_or_source(item, scope, where if path else ""))
        return found

    def _attributes(self, node: Node, scope: Scope, path: str) -> Value:
        return self.attributes(node, scope, path)

    def attributes(
        self, node: Node, scope: Scope, path: str, *, whole: bool = False
    ) -> dict[str, Value]:
        """Returns the values of a set by name.

        Args:
            node: The set.
            scope: The names it sees.
            path: The argument that it is, for `lines`.
            whole: It is the argument set itself, so that `lines` and `unread` are filled.
        """
        recursive = node.type == "rec_attrset_expression"
        inside = self._names_bound(node, scope) if recursive else scope
        found: dict[str, Value] = {}
        bindings = self._bindings_of(node, scope)
        if whole:
            self.unread += bindings.unnamed
        for name, bound in bindings.by_name.items():
            where = _below(path, name)
            if path or whole:
                self._mark(where, bound)
            try:
                found[name] = self._bound(
                    bound, inside, scope, where if path or whole else ""
                ).value()
            except NotKnown:
                found[name] = Opaque(name)
        return found

    def _mark(self, path: str, bound: Bound) -> None:
        line = line_of_bound(bound)
        if line is not None:
            self.lines.setdefault(path, line)

    def _text(self, node: Node, scope: Scope, _path: str) -> Value:
        pieces: list[Value] = []
        for child in node.children[1:-1]:
            if child.type == "interpolation":
                pieces.append(self._between(child, scope))
            elif child.type == "escape_sequence":
                letter = source_of(child)[1:]
                pieces.append(_SIMPLE_ESCAPES.get(letter, letter))
            elif child.type != "dollar_escape":
                pieces.append(line_ends(source_of(child)))
        return joined(pieces)

    def _indented(self, node: Node, scope: Scope, _path: str) -> Value:
        pieces: list[str] = []
        kept: list[Value] = []
        for child in node.children[1:-1]:
            text = source_of(child)
            if child.type == "interpolation" or text.startswith("''\\"):
                is_text = child.type != "interpolation"
                letter = text[3:]
                kept.append(
                    _SIMPLE_ESCAPES.get(letter, letter) if is_text else self._between(child, scope)
                )
                pieces.append(chr(_STAND_IN + len(kept) - 1))
            elif child.type == "escape_sequence":
                pieces.append(text[1:])
            elif child.type != "dollar_escape":
                if any(ord(letter) >= _STAND_IN for letter in text):
                    raise NotKnown
                pieces.append(line_ends(text))
        text = unindented("".join(pieces))
        parts = re.split(f"([{chr(_STAND_IN)}-\U0010ffff])", text)
        return joined([kept[ord(x) - _STAND_IN] if n % 2 else x for n, x in enumerate(parts)])

    def _between(self, node: Node, scope: Scope) -> Value:
        """Returns what stands between `${` and `}`."""
        inner = node.child_by_field_name("expression")
        value = self.value(inner, scope) if inner is not None else None
        if not isinstance(value, str | Path):
            raise NotKnown
        return value

    def _path(self, node: Node, scope: Scope, _path: str) -> Value:
        pieces = []
        for child in node.children:
            if child.type == "interpolation":
                value = self._between(child, scope)
                pieces.append(value.text if isinstance(value, Path) else str(value))
            else:
                pieces.append(source_of(child))
        return Path(os.path.normpath(os.path.join(self.folder, "".join(pieces))))

    def _binary(self, node: Node, scope: Scope, _path: str) -> Value:
        left, right = (self.value(operand(node, side), scope) for side in ("left", "right"))
        return binary(operator_of(node), left, right)

    def _unary(self, node: Node, scope: Scope, _path: str) -> Value:
        return unary(operator_of(node), self.value(operand(node, "argument"), scope))

    def _condition(self, node: Node, scope: Scope, path: str) -> Value:
        chosen = self.value(operand(node, "condition"), scope)
        if not isinstance(chosen, bool):
            raise NotKnown
        return self.value(operand(node, "consequence" if chosen else "alternative"), scope, path)

    def _select(self, node: Node, scope: Scope, _path: str) -> Value:
        """Works out `a.b`, and the ways to name what a file or a flake has."""
        path = node.child_by_field_name("attrpath")
        if path is None:
            raise NotKnown
        base = self.value(operand(node, "expression"), scope)
        attribute = re.sub(r"\s", "", source_of(path))
        if isinstance(base, Import):
            return Buildable(shlex.join(("-f", base.path, "-A", attribute)))
        if isinstance(base, Buildable) and "#" not in base.text and "${" not in attribute:
            return Buildable(f"{base.text}#{attribute}")
        for attr in path.children_by_field_name("attr"):
            if not isinstance(base, Mapping):
                raise NotKnown
            key = self._key(attr, scope)
            if key not in base:
                return self.value(operand(node, "default"), scope)
            base = base[key]
        return base

    def _apply(self, node: Node, scope: Scope, _path: str) -> Value:
        """Works out the few calls that name something built, or make a text of it."""
        function, *given = chain(node)
        name = re.sub(r"\s", "", source_of(function))
        if scope.find(name.partition(".")[0]) is not None:
            raise NotKnown
        first = self.value(given[0], scope)
        if name == "import" and len(given) == 2 and isinstance(first, Path):
            if self.value(given[1], scope) == {}:
                return Import(first.text)
        elif len(given) == 1 and name == "builtins.storePath" and isinstance(first, str | Path):
            return Buildable(first if isinstance(first, str) else first.text)
        elif len(given) == 1 and name == "builtins.getFlake" and isinstance(first, str):
            return Buildable(first)
        elif len(given) == 1 and name in {"toString", "builtins.toString"}:
            if isinstance(first, str):
                return first
            if isinstance(first, int) and not isinstance(first, bool):
                return str(first)
        raise NotKnown


_Work = Callable[[Evaluator, Node, Scope, str], Value]
_WORK: dict[str, _Work] = {
    "integer_expression": Evaluator._number,
    "float_expression": Evaluator._number,
    "variable_expression": Evaluator._variable,
    "string_expression": Evaluator._text,
    "indented_string_expression": Evaluator._indented,
    "path_expression": Evaluator._path,
    "list_expression": Evaluator._list,
    "attrset_expression": Evaluator._attributes,
    "rec_attrset_expression": Evaluator._attributes,
    "parenthesized_expression": Evaluator._inner,
    "let_expression": Evaluator._inner,
    "with_expression": Evaluator._inner,
    "assert_expression": Evaluator._inner,
    "binary_expression": Evaluator._binary,
    "unary_expression": Evaluator._unary,
    "if_expression": Evaluator._condition,
    "select_expression": Evaluator._select,
    "apply_expression": Evaluator._apply,
}
"""How each kind of expression is worked out; of any other, its source is kept."""


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name

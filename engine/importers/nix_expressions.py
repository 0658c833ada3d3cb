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

from engine.importers.nix_texts import joined, line_ends, unindented
from engine.importers.nix_tree import (
    NotKnown,
    chain,
    is_closed,
    is_operator,
    line_of,
    operand,
    source_of,
)  # fmt: skip
from engine.nix.values import Buildable, Import, Opaque, Path, Value

MOST_STEPS = 200_000
"""Expressions worked out for one file; a `let` that doubles itself ends here."""
_MOST_DIGITS = 20
_NUMBERS = range(-(1 << 63), 1 << 63)
"""Nix's integers."""

_CONSTANTS: dict[str, Value] = {"true": True, "false": False, "null": None}
_SIMPLE_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_STAND_IN = 0xF0000
"""First of the private characters that stand for `${...}` while a text is unindented."""


class NotNix(ValueError):
    """The text is not Nix, or has no arguments in it; the message has line and column."""


class _Later:
    """A value that is worked out when it is first asked for."""

    def __init__(self, compute: Callable[[], Value]) -> None:
        self._compute = compute
        self._known: tuple[Value] | None = None
        self._busy = False

    def value(self) -> Value:
        """Returns the value.

        Raises:
            NotKnown: Only Nix can tell, or it depends on itself.
        """
        if self._known is None:
            if self._busy:
                raise NotKnown
            self._busy = True
            try:
                self._known = (self._compute(),)
            finally:
                self._busy = False
        return self._known[0]


@dataclass(slots=True)
class Scope:
    """Names in sight, and the scope around them."""

    names: dict[str, _Later] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    around: Scope | None = None

    def find(self, name: str) -> _Later | None:
        """Returns what a name stands for, or None."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope.around
        return None

    def node(self, name: str) -> Node | None:
        """Returns the expression that a name stands for, where it is one alone."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.nodes.get(name)
            scope = scope.around
        return None


@dataclass(slots=True)
class _Inherited:
    """`inherit name;` or `inherit (origin) name;`."""

    name: str
    origin: Node | None
    line: int


_Bound = Node | _Inherited | dict[str, "_Bound"]


@dataclass(slots=True)
class Reader:
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
            return self._bindings(node, scope)
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
                inner.names[name] = _given(name)
            else:
                inner.names[name] = self._later(default, inner)
                inner.nodes[name] = default
        universal = node.child_by_field_name("universal")
        if universal is not None:
            inner.names[source_of(universal)] = _given(source_of(universal))
        return inner

    def _bindings(self, node: Node, scope: Scope) -> Scope:
        """Returns the scope of a `let` or `rec`, whose names see each other."""
        inner = Scope(around=scope)
        for name, bound in self._grouped(node, scope).items():
            inner.names[name] = self._bound(bound, inner, scope, "")
            if isinstance(bound, Node):
                inner.nodes[name] = bound
        return inner

    def _grouped(self, node: Node, scope: Scope, *, whole: bool = False) -> dict[str, _Bound]:
        """Returns the bindings of a set, with `a.b = 1; a.c = 2;` as one.

        Args:
            node: The set, or the `let`.
            scope: For names that are put together.
            whole: What has no name that is known goes to `unread`.
        """
        found: dict[str, _Bound] = {}
        holder = next((child for child in node.children if child.type == "binding_set"), None)
        for binding in [] if holder is None else holder.children_by_field_name("binding"):
            if binding.type in {"inherit", "inherit_from"}:
                self._inherits(binding, found)
                continue
            path, value = (binding.child_by_field_name(x) for x in ("attrpath", "expression"))
            if path is None or value is None:
                continue
            try:
                keys = [self._key(attr, scope) for attr in path.children_by_field_name("attr")]
            except NotKnown:
                if whole:
                    self.unread.append((line_of(binding), source_of(binding)))
                continue
            self._put(found, keys, value)
        return found

    def _inherits(self, binding: Node, found: dict[str, _Bound]) -> None:
        attrs = binding.child_by_field_name("attrs")
        origin = binding.child_by_field_name("expression")
        for attr in [] if attrs is None else attrs.children_by_field_name("attr"):
            name = source_of(attr).strip('"')
            found[name] = _Inherited(name, origin, line_of(attr))

    def _put(self, found: dict[str, _Bound], keys: list[str], value: Node) -> None:
        for key in keys[:-1]:
            inner = found.setdefault(key, {})
            if isinstance(inner, Node) and inner.type == "attrset_expression":
                inner = found[key] = self._grouped(inner, Scope())
            if not isinstance(inner, dict):
                raise NotNix(f"line {line_of(value)}: {key} is set twice")
            found = inner
        last = keys[-1]
        there = found.get(last)
        if isinstance(there, dict) and value.type == "attrset_expression":
            for name, bound in self._grouped(value, Scope()).items():
                if name in there:
                    raise NotNix(f"line {line_of(value)}: {last}.{name} is set twice")
                there[name] = bound
        elif there is not None:
            raise NotNix(f"line {line_of(value)}: {last} is set twice")
        else:
            found[last] = value

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

    def _later(self, node: Node, scope: Scope, path: str = "") -> _Later:
        return _Later(lambda: self._known_or_source(node, scope, path))

    def _bound(self, bound: _Bound, inside: Scope, outside: Scope, path: str) -> _Later:
        """Returns the value of a binding.

        Args:
            bound: What stands behind the name.
            inside: The names its expression sees.
            outside: Those that a plain `inherit` sees.
            path: The argument that it is, for `lines`.
        """
        if isinstance(bound, _Inherited):
            return _Later(lambda: self._inherited(bound, inside, outside))
        if isinstance(bound, dict):
            return _Later(
                lambda: {
                    key: self._bound(one, inside, outside, _below(path, key)).value()
                    for key, one in bound.items()
                }
            )
        return self._later(bound, inside, path)

    def _inherited(self, bound: _Inherited, inside: Scope, outside: Scope) -> Value:
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
        return _whole(int(text) if len(text) < _MOST_DIGITS else _NUMBERS.stop)

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
        inside = self._bindings(node, scope) if recursive else scope
        found: dict[str, Value] = {}
        for name, bound in self._grouped(node, scope, whole=whole).items():
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

    def _mark(self, path: str, bound: _Bound) -> None:
        node = bound
        while isinstance(node, dict) and node:
            node = next(iter(node.values()))
        if isinstance(node, Node):
            self.lines.setdefault(path, line_of(node))
        elif isinstance(node, _Inherited):
            self.lines.setdefault(path, node.line)

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
        if is_operator(node, "+"):
            return _sum(left, right)
        if is_operator(node, "++") and isinstance(left, list) and isinstance(right, list):
            return [*left, *right]
        if is_operator(node, "//") and isinstance(left, Mapping) and isinstance(right, Mapping):
            return {**left, **right}
        whole = all(isinstance(x, int) and not isinstance(x, bool) for x in (left, right))
        if whole and isinstance(left, int) and isinstance(right, int):
            if is_operator(node, "*"):
                return _whole(left * right)
            if is_operator(node, "-"):
                return _whole(left - right)
        raise NotKnown

    def _unary(self, node: Node, scope: Scope, _path: str) -> Value:
        value = self.value(operand(node, "argument"), scope)
        if is_operator(node, "!") and isinstance(value, bool):
            return not value
        if (
            is_operator(node, "-")
            and isinstance(value, int | float)
            and not isinstance(value, bool)
        ):
            return -value
        raise NotKnown

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


_Work = Callable[[Reader, Node, Scope, str], Value]
_WORK: dict[str, _Work] = {
    "integer_expression": Reader._number,
    "float_expression": Reader._number,
    "variable_expression": Reader._variable,
    "string_expression": Reader._text,
    "indented_string_expression": Reader._indented,
    "path_expression": Reader._path,
    "list_expression": Reader._list,
    "attrset_expression": Reader._attributes,
    "rec_attrset_expression": Reader._attributes,
    "parenthesized_expression": Reader._inner,
    "let_expression": Reader._inner,
    "with_expression": Reader._inner,
    "assert_expression": Reader._inner,
    "binary_expression": Reader._binary,
    "unary_expression": Reader._unary,
    "if_expression": Reader._condition,
    "select_expression": Reader._select,
    "apply_expression": Reader._apply,
}
"""How each kind of expression is worked out; of any other, its source is kept."""


def _given(name: str) -> _Later:
    """Returns the value of an argument that whoever calls the file gives."""
    return _Later(lambda: Opaque(name))


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _whole(number: int) -> int:
    if number not in _NUMBERS:
        raise NotKnown
    return number


def _sum(left: Value, right: Value) -> Value:
    if isinstance(left, bool) or isinstance(right, bool):
        raise NotKnown
    if isinstance(left, int) and isinstance(right, int):
        return _whole(left + right)
    if isinstance(left, str) and isinstance(right, str):
        return joined([left, right])
    if isinstance(left, Path) and isinstance(right, str | Path):
        more = right if isinstance(right, str) else right.text
        return Path("/" + os.path.normpath(left.text + more).lstrip("/"))
    raise NotKnown

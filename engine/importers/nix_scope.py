"""Names in Nix source, and values that are worked out when they are first asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from tree_sitter import Node

from engine.importers.nix_tree import NotKnown
from engine.nix.values import Opaque, Value


class Later:
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

    names: dict[str, Later] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    around: Scope | None = None

    def find(self, name: str) -> Later | None:
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


def given(name: str) -> Later:
    """Returns the value of an argument that whoever calls the file gives."""
    return Later(lambda: Opaque(name))

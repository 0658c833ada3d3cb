"""Where the space of a closure goes: a tree by store path, and what is there more than once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from engine.nix.closure import Closure, StorePath, versions


@dataclass(frozen=True, slots=True)
class PathSize:
    """One store path of a closure.

    Attributes:
        path: "/nix/store/HASH-NAME".
        name: The part after the hash.
        own: Bytes of its archive.
        closure: Bytes of it and of all that it needs.
        references: How many other paths it refers to.
    """

    path: str
    name: str
    own: int
    closure: int
    references: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A package that is there in several versions or variants.

    Attributes:
        package: Its name without version.
        paths: The paths, the largest first.
        bytes: Of all but the largest: about what agreeing on one version would save.
    """

    package: str
    paths: tuple[PathSize, ...]
    bytes: int


class Summary:
    """The sizes of a closure, each computed when it is first asked for.

    Args:
        closure: The closure.
    """

    def __init__(self, closure: Closure) -> None:
        self.closure = closure
        self._known: dict[str, PathSize] = {}

    @property
    def total(self) -> int:
        """Bytes of all archives."""
        return sum(path.nar_size for path in self.closure.paths)

    def size(self, path: str) -> PathSize:
        """Returns the sizes of one path of the closure."""
        known = self._known.get(path)
        if known is None:
            member = self.closure[path]
            needed = self._reachable[path]
            known = self._known[path] = PathSize(
                path=path,
                name=member.name,
                own=member.nar_size,
                closure=sum(size for at, size in enumerate(self._sizes) if needed >> at & 1),
                references=len(_others(member)),
            )
        return known

    def roots(self) -> tuple[PathSize, ...]:
        """Returns what was asked for, the largest closure first."""
        return self._sorted(self.closure.roots)

    def children(self, path: str) -> tuple[PathSize, ...]:
        """Returns what a path refers to, itself left out, the largest closure first."""
        return self._sorted(_others(self.closure[path]))

    def largest(self, count: int) -> tuple[PathSize, ...]:
        """Returns the paths that are largest on their own."""
        ordered = sorted(self.closure.paths, key=lambda path: (-path.nar_size, path.path))
        return tuple(self.size(path.path) for path in ordered[:count])

    def why(self, path: str) -> tuple[PathSize, ...]:
        """Returns the shortest chain of references from a root to a path, both included."""
        return tuple(self.size(step) for step in self.closure.why(path))

    def duplicates(self) -> tuple[Duplicate, ...]:
        """Returns packages that are there more than once, those that cost most first."""
        found = []
        for package, members in versions(self.closure.paths).items():
            ordered = sorted(members, key=lambda path: (-path.nar_size, path.path))
            cost = sum(path.nar_size for path in ordered[1:])
            paths = tuple(self.size(path.path) for path in ordered)
            found.append(Duplicate(package, paths, cost))
        return tuple(sorted(found, key=lambda one: (-one.bytes, one.package)))

    def _sorted(self, paths: Iterable[str]) -> tuple[PathSize, ...]:
        sizes = [self.size(path) for path in paths]
        return tuple(sorted(sizes, key=lambda size: (-size.closure, size.path)))

    @cached_property
    def _sizes(self) -> list[int]:
        """Bytes of each path, in the order of bits."""
        return [path.nar_size for path in self.closure.topological()]

    @cached_property
    def _reachable(self) -> dict[str, int]:
        """What each path needs, as a set of bits: references come first, so one pass does."""
        sets: dict[str, int] = {}
        for at, path in enumerate(self.closure.topological()):
            bits = 1 << at
            for reference in _others(path):
                bits |= sets[reference]
            sets[path.path] = bits
        return sets


def _others(path: StorePath) -> list[str]:
    return [reference for reference in path.references if reference != path.path]

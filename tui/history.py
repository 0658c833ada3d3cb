"""Undo and redo: a list of specs, nothing else."""

from __future__ import annotations

from engine.spec.model import ImageSpec


class History:
    """Past and future of a spec; typing in one field is one step."""

    def __init__(self, spec: ImageSpec, limit: int = 500) -> None:
        self._past: list[tuple[ImageSpec, str]] = []
        self._future: list[tuple[ImageSpec, str]] = []
        self._limit = limit
        self._open = ""
        self.spec = spec

    @property
    def undoable(self) -> str:
        """The name of the edit that undo would take back, or ""."""
        return self._past[-1][1] if self._past else ""

    @property
    def redoable(self) -> str:
        """The name of the edit that redo would do again, or ""."""
        return self._future[-1][1] if self._future else ""

    def push(self, spec: ImageSpec, name: str, *, typing: str = "") -> bool:
        """Makes `spec` the present.

        Args:
            name: The edit, for "Undo ..." ("disk size").
            typing: The field being typed in; edits of the same one join until `settle`.

        Returns:
            Whether anything changed.
        """
        if spec == self.spec:
            return False
        if not self.continues(typing):
            self._past.append((self.spec, name))
            del self._past[: -self._limit]
        self._open = typing
        self._future.clear()
        self.spec = spec
        return True

    def continues(self, typing: str) -> bool:
        """Whether an edit typed in that field joins the last one."""
        return bool(typing) and typing == self._open and bool(self._past)

    def settle(self) -> None:
        """Ends the joining of edits: the field was left."""
        self._open = ""

    def undo(self) -> str:
        """Goes one edit back; returns its name, or "" at the beginning."""
        return self._move(self._past, self._future)

    def redo(self) -> str:
        """Goes one edit forward; returns its name, or "" at the end."""
        return self._move(self._future, self._past)

    def _move(self, source: list[tuple[ImageSpec, str]], goal: list[tuple[ImageSpec, str]]) -> str:
        self.settle()
        if not source:
            return ""
        spec, name = source.pop()
        goal.append((self.spec, name))
        self.spec = spec
        return name

"""Undo and redo: a list of designs, nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from engine.spec.model import ImageSpec


@dataclass(frozen=True, slots=True)
class Design:
    """All that an edit can change: the spec, and the folder that outputs go to."""

    spec: ImageSpec
    outdir: str


class History:
    """Past and future of a design; typing in one field is one step."""

    def __init__(self, spec: ImageSpec, outdir: str = "", limit: int = 500) -> None:
        self._past: list[tuple[Design, str]] = []
        self._future: list[tuple[Design, str]] = []
        self._limit = limit
        self._open = ""
        self._present = Design(spec, outdir)

    @property
    def spec(self) -> ImageSpec:
        """The spec as it is now."""
        return self._present.spec

    @property
    def outdir(self) -> str:
        """The output folder as it is now."""
        return self._present.outdir

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
            spec: The spec after the edit.
            name: The edit, for "Undo ..." ("disk size").
            typing: The field being typed in; edits of the same one join until `settle`.

        Returns:
            Whether anything changed.
        """
        return self._push(Design(spec, self.outdir), name, typing)

    def push_outdir(self, outdir: str, name: str, *, typing: str = "") -> bool:
        """Makes `outdir` the present folder, as `push` does with a spec."""
        return self._push(Design(self.spec, outdir), name, typing)

    def _push(self, design: Design, name: str, typing: str) -> bool:
        if design == self._present:
            return False
        if not self.continues(typing):
            self._past.append((self._present, name))
            del self._past[: -self._limit]
        self._open = typing
        self._future.clear()
        self._present = design
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

    def _move(self, source: list[tuple[Design, str]], goal: list[tuple[Design, str]]) -> str:
        self.settle()
        if not source:
            return ""
        design, name = source.pop()
        goal.append((self._present, name))
        self._present = design
        return name

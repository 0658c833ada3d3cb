"""A fleet as it was read: its rows, and what is wrong in which of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.problem import Problem
from engine.spec.lines import line_of
from engine.spec.model import ImageSpec


@dataclass(frozen=True, slots=True)
class Row:
    """One image of a fleet.

    Attributes:
        number: From 1, in the order of the file.
        name: Of the image and of its folder.
        where: File and line.
        spec: What is wanted.
        base: Folder that relative sources start from.
        file: The spec that the row started from.
        keys: Key paths that the row set.
        overridden: Those that `--set` set.
        lines: Of the keys in that spec.
    """

    number: int
    name: str
    where: str
    spec: ImageSpec
    base: Path
    file: str
    keys: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)

    def locate(self, problems: Iterable[Problem]) -> list[Problem]:
        """Returns problems with the place of each key: the row, or the spec that it started from.

        Those without a key, or with a place, stay as they are.
        """
        return [self._placed(problem) for problem in problems]

    def _placed(self, problem: Problem) -> Problem:
        if problem.file is not None or not problem.path:
            return problem
        line = line_of(self.lines, problem.path)
        place = f"{self.file}:{line}" if line else self.file
        if _under(problem.path, (*self.keys, "name")):
            place = self.where
        if _under(problem.path, self.overridden):
            place = "--set"
        return dataclasses.replace(problem, file=place)


@dataclass(frozen=True, slots=True)
class Wrong:
    """A problem, and the names of the rows that have it; none for one of the file as a whole."""

    problem: Problem
    rows: tuple[str, ...] = ()

    def line(self) -> str:
        """Returns it as one sentence for a terminal."""
        text = self.problem.line()
        if len(self.rows) == 1:
            return f"{text} [{self.rows[0]}]"
        if self.rows:
            return f"{text} [{len(self.rows)} rows, {self.rows[0]} to {self.rows[-1]}]"
        return text


@dataclass(frozen=True, slots=True)
class Fleet:
    """All images that a file describes, in its order, and what is wrong with it."""

    path: Path
    rows: tuple[Row, ...]
    wrong: tuple[Wrong, ...] = ()

    @property
    def errors(self) -> tuple[Wrong, ...]:
        """What refuses the whole of it."""
        return tuple(one for one in self.wrong if one.problem.severity == "error")


class Gathered:
    """Problems as they are found, each once with all rows that have it."""

    def __init__(self) -> None:
        self._rows: dict[Problem, list[str]] = {}

    def add(self, problem: Problem, row: str = "") -> None:
        """Notes that a row, or the file, has a problem."""
        rows = self._rows.setdefault(problem, [])
        if row and row not in rows[-1:]:
            rows.append(row)

    def note(self, wrong: Wrong) -> None:
        """Notes a problem that others found, with its rows."""
        self._rows.setdefault(wrong.problem, []).extend(wrong.rows)

    @property
    def all(self) -> tuple[Wrong, ...]:
        """The problems in the order in which they were found."""
        return tuple(Wrong(problem, tuple(rows)) for problem, rows in self._rows.items())


def _under(path: str, keys: Iterable[str]) -> bool:
    """Whether a key path is one of some, or lies below one."""
    return any(f"{path}.".startswith((f"{key}.", f"{key}[")) for key in keys)

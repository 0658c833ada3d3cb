"""What can be wrong with a request, as values that every front end shows alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
Scalar = str | int | bool | None
Value = Scalar | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fix:
    """An edit to the spec that solves a problem.

    Attributes:
        label: What the edit does, in the imperative ("Grow the disk to 6 GiB").
        edits: Pairs of key path and new value, applied together (`engine.spec.edit.apply`).
    """

    label: str
    edits: tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a spec, its sources or the machine.

    Attributes:
        code: Stable kebab-case identifier ("esp-too-small").
        severity: `error` refuses the build (exit 2); `warning` is shown and built.
        path: Key path in the spec ("size.boot", "contents[2].source"), or "" for the whole.
        message: What is wrong, with the numbers: needed against available.
        hint: What to change.
        fix: The edit that solves it, where there is exactly one sensible edit.
        file: The spec file, where the problem was found in one.
    """

    code: str
    severity: Severity
    path: str
    message: str
    hint: str = ""
    fix: Fix | None = None
    file: str | None = None

    def line(self) -> str:
        """Returns the problem as one sentence for a terminal or a log."""
        where = ": ".join(part for part in (self.file or "", self.path) if part)
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({self.hint})" if self.hint else text


class Refused(Exception):
    """The spec, its sources or the preflight were refused; nothing was written (exit 2)."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(problem.line() for problem in problems))
        self.problems = tuple(problems)


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Returns those problems that refuse a build."""
    return tuple(problem for problem in problems if problem.severity == "error")


def quote(text: str, limit: int = 80) -> str:
    """Returns a text as messages quote it: what cannot be printed escaped, the rest shortened."""
    shown = printable(text[: limit + 1])
    return f'"{shown}"' if len(shown) <= limit else f'"{shown[:limit]}..."'


def printable(text: str) -> str:
    """Returns a text on one line, what cannot be printed escaped."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape", "replace").decode()
        for letter in text
    )


def text(raw: bytes) -> str:
    """Returns bytes as printable text, with escapes for what is not printable UTF-8."""
    return printable(raw.decode("utf-8", "backslashreplace"))

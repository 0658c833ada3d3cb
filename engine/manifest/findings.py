"""What a scan finds wrong with one content entry, before its place in the spec is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from engine.problem import Fix, Problem, Scalar, Severity

_SHOWN_OF_A_KIND = 20
"""A tree of unreadable files is one mistake; the first names and the total tell it."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What solves a finding: a key of its content entry, and the value to give it."""

    label: str
    key: str
    value: Scalar


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem whose key path is relative to its content entry ("source", "user")."""

    code: str
    severity: Severity
    key: str
    message: str
    hint: str
    fix: Edit | None = None

    def problem(self, where: str) -> Problem:
        """Returns the problem with its full key path; `where` is such as "contents[2]"."""
        path = f"{where}.{self.key}" if where else ""
        fix = None
        if where and self.fix is not None:
            fix = Fix(self.fix.label, ((f"{where}.{self.fix.key}", self.fix.value),))
        return Problem(self.code, self.severity, path, self.message, self.hint, fix)


class Findings:
    """Collects findings, a bounded number of each kind."""

    def __init__(self) -> None:
        self._listed: list[Finding] = []
        self._seen: Counter[str] = Counter()

    def add(
        self, code: str, message: str, hint: str, *, key: str = "source",
        severity: Severity = "error", fix: Edit | None = None,
    ) -> None:  # fmt: skip
        """Records one finding."""
        self._seen[code] += 1
        if self._seen[code] <= _SHOWN_OF_A_KIND:
            self._listed.append(Finding(code, severity, key, message, hint, fix))

    def __iter__(self) -> Iterator[Finding]:
        yield from self._listed
        for code, count in self._seen.items():
            if count > _SHOWN_OF_A_KIND:
                last = next(found for found in self._listed if found.code == code)
                more = f"and {count - _SHOWN_OF_A_KIND} more like these"
                yield Finding(last.code, last.severity, last.key, more, last.hint)


def shown(path: bytes) -> str:
    """Returns a path or name as a person can read it on one line of a terminal."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)

"""The spec as lines of TOML, and which of them the last edit changed."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import SequenceMatcher


@dataclass(frozen=True, slots=True)
class Listing:
    """A text with what is new in it.

    Attributes:
        lines: As they would be saved.
        new: Positions of lines that the last edit wrote.
        gone: Positions of lines before which the last edit took some away.
    """

    lines: tuple[str, ...] = ()
    new: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()

    @property
    def first(self) -> int | None:
        """The first position that the last edit touched."""
        return min(self.new | self.gone, default=None)


def listed(text: str, before: str) -> Listing:
    """Returns a text's lines, told apart from those of the text before the last edit."""
    lines, old = text.splitlines(), before.splitlines()
    new: set[int] = set()
    gone: set[int] = set()
    if text != before:
        matcher = SequenceMatcher(None, old, lines, autojunk=False)
        for tag, _, _, start, stop in matcher.get_opcodes():
            if tag in {"replace", "insert"}:
                new.update(range(start, stop))
            elif tag == "delete":
                gone.add(min(start, max(len(lines) - 1, 0)))
    return Listing(tuple(lines), frozenset(new), frozenset(gone))

"""How many bytes were moved when: a history of bounded size, whatever a build's length."""

from __future__ import annotations

FIRST_SPAN = 0.125
"""Seconds that one sample covers at first."""
MOST_SAMPLES = 240


class History:
    """Bytes moved in equal spans of time; spans double when there would be too many."""

    def __init__(self) -> None:
        self.span = FIRST_SPAN
        self.total = 0
        self._moved: list[int] = [0]

    def add(self, time: float, moved: int) -> None:
        """Counts bytes moved at a time, in seconds since the beginning."""
        self.total += moved
        while int(time / self.span) >= MOST_SAMPLES:
            pairs = [*self._moved, 0] if len(self._moved) % 2 else self._moved
            self._moved = [a + b for a, b in zip(pairs[::2], pairs[1::2], strict=True)]
            self.span *= 2
        at = int(time / self.span)
        self._moved.extend([0] * (at + 1 - len(self._moved)))
        self._moved[at] += moved

    def rates(self, count: int) -> list[int]:
        """Returns bytes a second over the whole time in at most `count` steps."""
        if count <= 0:
            return []
        group = -(-len(self._moved) // count)
        seconds = self.span * group
        return [
            int(sum(self._moved[at : at + group]) / seconds)
            for at in range(0, len(self._moved), group)
        ]

    def peak(self) -> int:
        """Returns the most bytes moved in a second."""
        spans = max(round(1 / self.span), 1)
        rates = [
            sum(self._moved[at : at + spans]) for at in range(max(len(self._moved) - spans, 0) + 1)
        ]
        return int(max(rates) / max(self.span, 1.0))

"""What a copy of an image's files could not keep, by kind: how many, and the first few names."""

from __future__ import annotations

from engine.manifest.findings import shown

_FIRST = 5
_LONGEST = 200


class Notes:
    """Collects what was left out or changed; memory does not grow with the number of files.

    Attributes:
        failed: How many files could not be read whole, or not be made.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[str]] = {}

    def add(self, what: str, path: bytes, why: str = "") -> None:
        """Counts one more file of a kind.

        Args:
            what: The kind.
            path: In the image, without leading slash.
            why: What is to be said of this file alone.
        """
        self._counts[what] = self._counts.get(what, 0) + 1
        names = self._first.setdefault(what, [])
        if len(names) < _FIRST:
            names.append(_short(f"/{shown(path)}") + (f" ({_short(why)})" if why else ""))

    def fail(self, path: bytes, why: object) -> None:
        """Counts a file that could not be read whole, or not be made."""
        self.failed += 1
        self.add("damaged or not to be made here", path, str(why))

    def lines(self) -> tuple[str, ...]:
        """Returns one line for each kind."""
        return tuple(
            f"{what}: {', '.join(self._first[what])}"
            + (f" and {count - _FIRST} more" if count > _FIRST else "")
            for what, count in self._counts.items()
        )


def _short(text: str) -> str:
    """Returns a text for one line, of a path the end, which tells more."""
    return text if len(text) <= _LONGEST else f"...{text[-_LONGEST:]}"

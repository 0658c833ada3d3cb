"""The paths in the image of what one source of the last build brought."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import zip_longest

from engine.manifest.entry import order
from engine.reuse.listed import Listed
from engine.reuse.record import SourceRecord


class Paths:
    """What a source brought.

    Args:
        where: Key path of its content entry.
        volume: That it names, or "".
        paths: In the image, or in that volume.
        names: Those of a folder in that; an archive is known as a whole.
        folder: That, if it is one.
    """

    def __init__(
        self, where: str, volume: str, paths: Sequence[bytes], names: Sequence[bytes] = (),
        folder: bytes = b"",
    ) -> None:  # fmt: skip
        self.where, self.folder, self.volume = where, folder, volume
        self._paths, self._names = paths, names

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[tuple[bytes, bytes | None]]:
        """Yields each path, and that in the folder."""
        return zip_longest(self._paths, self._names)

    @cached_property
    def _keys(self) -> list[bytes]:
        return sorted(map(order, self._paths))

    def has(self, path: bytes) -> bool:
        """Whether a path is among them."""
        return self._first(order(path)) == order(path)

    def has_below(self, path: bytes) -> bool:
        """Whether anything below a path is."""
        below = order(path + b"/")
        found = self._first(below)
        return found is not None and found.startswith(below)

    def _first(self, key: bytes) -> bytes | None:
        """Returns the first of the keys that is not before another one."""
        at = bisect_left(self._keys, key)
        return self._keys[at] if at < len(self._keys) else None


def listed_in(source: SourceRecord, volume: str) -> Paths:
    """Returns the paths of a folder or file.

    Args:
        source: What was seen of it.
        volume: That its content entry names, or "".
    """
    listed = Listed(source)
    paths = [listed.path(number) for number in range(len(listed.names))]
    return Paths(source.where, volume, paths, listed.names, source.folder)

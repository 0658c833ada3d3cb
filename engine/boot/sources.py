"""Files of an ESP that are put together: byte strings, copies of the root's files, both (UKIs)."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator, Sequence

from engine.manifest import memory
from engine.manifest.entry import Entry

Part = tuple[int, bytes | Entry]


_ZEROS = memoryview(bytes(1 << 16))


class _Composed:
    """A source whose files are made of byte strings and of other entries' data, zeros between."""

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        for entry in entries:
            parts = entry.stamp
            assert isinstance(parts, tuple)
            end = 0
            for offset, piece in _pieces(parts):
                for at in range(end, offset, len(_ZEROS)):
                    yield entry, at, _ZEROS[: offset - at]
                yield entry, offset, piece
                end = offset + len(piece)
            for at in range(end, entry.size, len(_ZEROS)):
                yield entry, at, _ZEROS[: entry.size - at]

    def describe(self, entry: Entry) -> str:
        """Returns what the file is made of."""
        parts = entry.stamp
        assert isinstance(parts, tuple)
        origins = (p.source.describe(p) for _, p in parts if isinstance(p, Entry) and p.source)
        return " + ".join(origins) or "made by Diskwright"


def _pieces(parts: Sequence[Part]) -> Iterator[tuple[int, memoryview]]:
    for offset, part in parts:
        if isinstance(part, bytes):
            yield offset, memoryview(part)
        elif part.source is not None:
            for _, at, piece in part.source.stream([part]):
                yield offset + at, piece


_COMPOSED = _Composed()


def composed(path: bytes, parts: Sequence[Part], size: int, *, mtime_ns: int) -> Entry:
    """Returns a file put together from `parts` (offset and content, by rising offset)."""
    return Entry(
        path, stat.S_IFREG | 0o644, mtime_ns=mtime_ns, size=size,
        source=_COMPOSED, stamp=tuple(parts),
    )  # fmt: skip


def rewritten(entry: Entry, change: Callable[[bytes], bytes]) -> Entry:
    """Returns an entry whose byte strings of our own making are changed to others of their length.

    Bytes that come from elsewhere stay as they are; the entry itself where nothing changes.
    """
    if entry.source is not _COMPOSED:
        return memory.rewritten(entry, change)
    assert isinstance(entry.stamp, tuple)
    parts = tuple(
        (offset, change(part) if isinstance(part, bytes) else part) for offset, part in entry.stamp
    )
    if parts == entry.stamp:
        return entry
    new = memory.copy(entry)
    new.stamp = parts
    return new


def bytes_of(path: bytes, entry: Entry, *, multiple: int = 1) -> Entry:
    """Returns a file with the bytes and the time of another entry, and nothing FAT cannot hold.

    Args:
        path: Of the new file.
        entry: Holds the data.
        multiple: Of bytes to which zeros fill it up.
    """
    parts: list[Part] = [(0, entry)]
    rest = -entry.size % multiple
    if rest:
        parts.append((entry.size, bytes(rest)))
    return composed(path, parts, entry.size + rest, mtime_ns=entry.mtime_ns)

"""Finds and reads files in an image that exists only as its entries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from engine.manifest.entry import Entry, Source

_MAX_LINKS = 40
"""Symbolic links followed in one path, as many as Linux does (path_resolution(7))."""

Get = Callable[[bytes], Entry | None]
"""Returns the entry at a path of the image (no leading slash), or None."""


class LeadsNowhere(Exception):
    """A path cannot be followed; the message says at which component and why."""


def resolve(
    get: Get, path: bytes, *, may_miss: bool = False, may_dangle: bool = False
) -> bytes:  # fmt: skip
    """Returns the path that a path of the image leads to, symbolic links followed.

    As for a process whose root directory is the image: an absolute link starts at the image's
    root, and `..` at the root stays there, so nothing leads out.

    Args:
        get: Looks up an entry.
        path: Path in the image.
        may_miss: Names at the end of `path` itself need not exist (they are to be made).
        may_dangle: Nor need those that a link leads to.

    Raises:
        LeadsNowhere: A component is missing, is not a directory, or the links go round in circles.
    """
    pending = [(part, False) for part in _parts(path)]
    pending.reverse()
    at: list[bytes] = []
    links = 0
    while pending:
        part, from_link = pending.pop()
        if part == b"..":
            del at[-1:]
            continue
        at.append(part)
        here = b"/".join(at)
        entry = get(here)
        if entry is None:
            if not (may_dangle if from_link else may_miss):
                raise LeadsNowhere(f"/{here.decode(errors='backslashreplace')} does not exist")
        elif entry.is_symlink:
            links += 1
            if links > _MAX_LINKS:
                raise LeadsNowhere("its symbolic links go round in circles")
            del at[-1:]
            if entry.target.startswith(b"/"):
                at.clear()
            pending.extend((piece, True) for piece in reversed(_parts(entry.target)))
        elif pending and not entry.is_directory:
            raise LeadsNowhere(f"/{here.decode(errors='backslashreplace')} is not a directory")
    return b"/".join(at)


def _parts(path: bytes) -> list[bytes]:
    return [part for part in path.split(b"/") if part not in {b"", b"."}]


def find(get: Get, path: bytes) -> Entry | None:
    """Returns the entry that a path leads to (the one that holds the data), or None."""
    try:
        entry = get(resolve(get, path))
    except LeadsNowhere:
        return None
    return entry.link_to or entry if entry is not None else None


def read(entry: Entry, limit: int) -> bytes:
    """Returns the bytes of a regular file, at most `limit` of them; holes read as zeros.

    Raises:
        SourceChanged: It is not what was scanned.
        OSError: It cannot be read.
    """
    data = bytearray(min(entry.size, limit))
    for _, offset, piece in stream([entry]):
        if offset >= limit:
            break
        end = min(offset + len(piece), limit)
        data[offset:end] = piece[: end - offset]
    return bytes(data)


def stream(entries: Iterable[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
    """Yields the data of regular files of any sources, source by source.

    See `engine.manifest.entry.Source.stream`. Sources come in the order of their first entry;
    further names of a hard link are left out.
    """
    by_source: dict[int, tuple[Source, list[Entry]]] = {}
    for entry in entries:
        if entry.is_regular and entry.link_to is None and entry.source is not None:
            source = entry.source
            by_source.setdefault(id(source), (source, []))[1].append(entry)
    for source, wanted in by_source.values():
        yield from source.stream(wanted)

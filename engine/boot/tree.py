"""Looking things up in a root file system that exists only as a manifest."""

from __future__ import annotations

from engine.manifest.entry import Entry
from engine.manifest.manifest import Manifest

_MAX_LINKS = 40  # as many as Linux follows (path_resolution(7))


def follow(manifest: Manifest, path: bytes) -> Entry | None:
    """Returns what a path of the image leads to, symlinks followed inside the image.

    A hard link leads to the entry that holds the data. `..` at the root stays at the root.
    """
    pending = [part for part in path.split(b"/") if part not in {b"", b"."}]
    at: list[bytes] = []
    links = 0
    entry = manifest.get(b"")
    while pending:
        part = pending.pop(0)
        if part == b"..":
            at = at[:-1]
            entry = manifest.get(b"/".join(at))
            continue
        at.append(part)
        entry = manifest.get(b"/".join(at))
        if entry is None:
            return None
        if entry.is_symlink:
            links += 1
            if links > _MAX_LINKS:
                return None
            target = [piece for piece in entry.target.split(b"/") if piece not in {b"", b"."}]
            at = [] if entry.target.startswith(b"/") else at[:-1]
            pending = target + pending
            entry = manifest.get(b"/".join(at))
    if entry is not None and entry.link_to is not None:
        return entry.link_to
    return entry


def children(manifest: Manifest, directory: bytes) -> list[Entry]:
    """Returns the entries directly in a directory, symlinks to it followed, in order."""
    where = follow(manifest, directory)
    if where is None or not where.is_directory:
        return []
    depth = where.path.count(b"/") + 1 if where.path else 0
    return [entry for entry in manifest.under(where.path) if entry.path.count(b"/") == depth]


def read(entry: Entry, limit: int) -> bytes:
    """Returns the bytes of a regular file, at most `limit` of them.

    Raises:
        SourceChanged, OSError: As its source does.
    """
    if entry.source is None:
        return b""
    data = bytearray(min(entry.size, limit))
    for _, offset, piece in entry.source.stream([entry]):
        if offset >= limit:
            break
        end = min(offset + len(piece), limit)
        data[offset:end] = piece[: end - offset]
    return bytes(data)


def read_text(manifest: Manifest, path: bytes, limit: int = 65536) -> str | None:
    """Returns a small text file of the image, or None where there is none."""
    entry = follow(manifest, path)
    if entry is None or not entry.is_regular:
        return None
    return read(entry, limit).decode("utf-8", "replace")

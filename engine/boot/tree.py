"""What finding kernels asks of a root file system that exists only as a manifest."""

from __future__ import annotations

from collections.abc import Sequence

from engine.manifest.entry import Entry
from engine.manifest.lookup import LeadsNowhere, find, read, resolve, stream
from engine.manifest.manifest import Listing


def regular(manifest: Listing, path: bytes) -> Entry | None:
    """Returns the regular file that a path leads to, symlinks followed, or None.

    The entry is that of the name, which `data` leads from to the bytes.
    """
    try:
        entry = manifest.get(resolve(manifest.get, path))
    except LeadsNowhere:
        return None
    return entry if entry is not None and entry.is_regular else None


def data(entry: Entry) -> Entry:
    """Returns the entry that holds the bytes of a file with several names."""
    return entry.link_to or entry


def children(manifest: Listing, directory: bytes) -> list[Entry]:
    """Returns the entries directly in a directory, symlinks to it followed, in order."""
    where = find(manifest.get, directory)
    if where is None or not where.is_directory:
        return []
    return list(manifest.within(where.path))


def read_text(manifest: Listing, path: bytes, limit: int = 65536) -> str | None:
    """Returns a small text file of the image, or None where there is none."""
    entry = regular(manifest, path)
    return None if entry is None else read(data(entry), limit).decode("utf-8", "replace")


def heads(entries: Sequence[Entry], limit: int) -> list[bytes]:
    """Returns the first bytes of files, at most `limit` of each, from one pass over each source.

    Args:
        entries: Regular files that hold data; one may come several times.

    Raises:
        SourceChanged: One is not what was scanned.
        OSError: One cannot be read.
    """
    found = {id(entry): bytearray(min(entry.size, limit)) for entry in entries}
    pending = {key for key, head in found.items() if head}
    pieces = stream({id(entry): entry for entry in entries}.values())
    for entry, offset, piece in pieces:
        head = found[id(entry)]
        end = min(offset + len(piece), len(head))
        if offset < len(head):
            head[offset:end] = piece[: end - offset]
        if offset + len(piece) >= len(head):
            pending.discard(id(entry))
        if not pending:
            break
    return [bytes(found[id(entry)]) for entry in entries]

"""What finding kernels asks of a root file system that exists only as a manifest."""

from __future__ import annotations

from engine.manifest.entry import Entry
from engine.manifest.lookup import LeadsNowhere, find, read, resolve
from engine.manifest.manifest import Manifest


def regular(manifest: Manifest, path: bytes) -> Entry | None:
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


def children(manifest: Manifest, directory: bytes) -> list[Entry]:
    """Returns the entries directly in a directory, symlinks to it followed, in order."""
    where = find(manifest.get, directory)
    if where is None or not where.is_directory:
        return []
    depth = where.path.count(b"/") + 1 if where.path else 0
    return [entry for entry in manifest.under(where.path) if entry.path.count(b"/") == depth]


def read_text(manifest: Manifest, path: bytes, limit: int = 65536) -> str | None:
    """Returns a small text file of the image, or None where there is none."""
    entry = regular(manifest, path)
    return None if entry is None else read(data(entry), limit).decode("utf-8", "replace")

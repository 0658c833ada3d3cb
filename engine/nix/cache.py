"""Keeps what was read of a store: a store path never changes, so it is read once."""

from __future__ import annotations

import os
from collections.abc import Hashable

from engine.manifest.entry import Entry
from engine.manifest.folder import FolderSource
from engine.nix.files import entries_of
from engine.nix.store import Store


class NixCache:
    """What one session has read of stores, for the next plan."""

    def __init__(self) -> None:
        self._last: tuple[Hashable, object] | None = None
        self._sources: dict[tuple[bytes, bytes], FolderSource] = {}
        self._walked: dict[tuple[bytes, bytes, bytes], tuple[tuple[int, int], list[Entry]]] = {}

    def known(self, key: Hashable) -> object:
        """Returns what was kept last, if it was for an equal key; else None."""
        return self._last[1] if self._last is not None and self._last[0] == key else None

    def keep(self, key: Hashable, value: object) -> None:
        """Keeps one value for the next time."""
        self._last = key, value

    def entries(self, store: Store, base: bytes, prefix: bytes) -> list[Entry]:
        """Returns one store path's entries, read again only if its top is another.

        Args:
            store: Where it lies.
            base: Its name in the store.
            prefix: Path of the store in the image; b"" for its root.

        Raises:
            OSError: It cannot be read.
        """
        place = os.path.join(store.folder, base)
        status = os.lstat(place)
        stamp = status.st_ino, status.st_ctime_ns
        known = self._walked.get((store.folder, prefix, base))
        if known is not None and known[0] == stamp:
            return known[1]
        source = self._sources.setdefault(
            (store.folder, prefix), FolderSource(store.folder, prefix)
        )
        entries = entries_of(source, place, prefix + b"/" + base if prefix else base)
        self._walked[store.folder, prefix, base] = stamp, entries
        return entries

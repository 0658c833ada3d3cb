"""A container image as skopeo's and podman's `dir:` transport writes it, seen as an OCI layout.

Such a folder has the image's manifest as `manifest.json`, or the list of them where it is for
several platforms, and beside it each blob under the hexadecimal digits of its SHA-256
(containers-transports(5)); the manifests of a list are `DIGITS.manifest.json`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from engine.manifest.compressed import Stream
from engine.manifest.oci.recognise import INDEX, SAVED
from engine.manifest.oci.store import OnPiece, Store, open_store

VERSION = b"version"
_BLOBS = b"blobs/sha256/"


def opened(path: bytes, on_piece: OnPiece) -> Store:
    """Returns the blobs of an image in any of the forms; see `engine.manifest.oci.store`."""
    store = open_store(path, on_piece)
    return DirectoryStore(store) if is_directory(store) else store


def is_directory(store: Store) -> bool:
    """Whether a store is of this form: `docker save` has a list in its manifest.json."""
    return (
        store.has(VERSION)
        and store.has(SAVED)
        and not store.has(INDEX)
        and store.document(SAVED).lstrip()[:1] == b"{"
    )


class DirectoryStore:
    """The blobs of such a folder under the names that they have in an OCI layout."""

    def __init__(self, store: Store) -> None:
        self.path = store.path
        self._store = store
        manifest = store.document(SAVED)
        digest = hashlib.sha256(manifest).hexdigest()
        self._manifest = _BLOBS + digest.encode()
        if b'"manifests"' in manifest:
            self._index = manifest
        else:
            descriptor = {"digest": f"sha256:{digest}", "size": len(manifest)}
            self._index = msgspec.json.encode({"manifests": [descriptor]})

    @property
    def files(self) -> Mapping[bytes, int | None]:
        return self._store.files

    def stamp(self, name: bytes) -> int:
        return self._store.stamp(self._place(name))

    def has(self, name: bytes) -> bool:
        return name == INDEX or self._store.has(self._place(name))

    def document(self, name: bytes) -> bytes:
        return self._index if name == INDEX else self._store.document(self._place(name))

    def passing(self, names: Iterable[bytes]) -> Iterator[tuple[bytes, Stream]]:
        meant = {self._place(name): name for name in names}
        for place, stream in self._store.passing(meant):
            yield meant[place], stream

    def _place(self, name: bytes) -> bytes:
        if name == self._manifest:
            return SAVED
        digits = name.removeprefix(_BLOBS)
        listed = digits + b".manifest.json"
        return listed if self._store.has(listed) else digits

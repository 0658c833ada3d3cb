"""The blobs of a container image that was read by an earlier build."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from engine.manifest.compressed import Stream
from engine.manifest.entry import SourceChanged
from engine.manifest.findings import shown
from engine.manifest.oci.directory import opened


class LaterStore:
    """A store that is opened once data is asked for; its layers must be what they were."""

    def __init__(
        self, path: bytes, files: Mapping[bytes, int | None], layers: Mapping[bytes, int]
    ) -> None:
        """Prepares it.

        Args:
            path: Of the folder or archive.
            files: What it was read from: stamps by path.
            layers: Stamps of the files that layers lie in, by name of the blob.
        """
        self.path = path
        self._files = files
        self._layers = layers

    @property
    def files(self) -> Mapping[bytes, int | None]:
        """What the image was read from."""
        return self._files

    def stamp(self, name: bytes) -> int:
        """Returns the stamp of the file that a layer lies in."""
        return self._layers[name]

    def has(self, name: bytes) -> bool:
        """Whether there is such a layer."""
        return name in self._layers

    def document(self, name: bytes) -> bytes:
        """Returns a small blob whole."""
        return opened(self.path, _nothing).document(name)

    def passing(self, names: Iterable[bytes]) -> Iterator[tuple[bytes, Stream]]:
        """Yields layers; see `engine.manifest.oci.store.Store.passing`."""
        store = opened(self.path, _nothing)
        for name, stream in store.passing(names):
            if store.stamp(name) != self._layers[name]:
                raise SourceChanged(f"{shown(self.path)} changed after it was scanned")
            yield name, stream


def _nothing() -> None:
    """Takes no notice."""

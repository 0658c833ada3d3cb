"""Data of an image's files, read from its layers where they lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from engine.manifest.archive import Reader, data_of
from engine.manifest.compressed import CORRUPT, unpacked
from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.findings import shown
from engine.manifest.oci.errors import BadImage
from engine.manifest.oci.image import ContainerImage
from engine.manifest.oci.store import Store
from engine.manifest.part import Part
from engine.manifest.tar import BadArchive

_OFFSET_BITS = 48
"""Of a stamp, those that say where in a layer the data is; the others say which layer."""
_OFFSET = (1 << _OFFSET_BITS) - 1


def stamp(layer: int, offset: int) -> int:
    """Returns what an entry's data is found by: layer, and offset in its unpacked archive."""
    return layer << _OFFSET_BITS | offset


class ImageSource:
    """Files of a container image.

    Attributes:
        image: The image.
        brought: All that came of it, once that is known.
    """

    def __init__(self, store: Store, image: ContainerImage) -> None:
        self.image = image
        self.brought: Part | None = None
        self._store = store

    @property
    def path(self) -> bytes:
        """Of the folder or archive that the image lies in."""
        return self._store.path

    @property
    def files(self) -> Mapping[bytes, int | None]:
        """What it was read from: stamps by path, None where that had just changed."""
        return self._store.files

    @property
    def layers(self) -> tuple[int, ...]:
        """Stamps of the files that the layers lie in."""
        return tuple(self._store.stamp(one.name) for one in self.image.layers)

    def identity(self, entry: Entry) -> int | None:
        """Returns what tells a file, unless something may have changed without a trace."""
        if None in self.files.values():
            return None
        assert isinstance(entry.stamp, int)
        layer = self.image.layers[entry.stamp >> _OFFSET_BITS]
        return hash((self._store.stamp(layer.name), entry.stamp))

    def describe(self, entry: Entry) -> str:
        """Returns the image's path, the layer and the entry's path in the image."""
        path = shown(self._store.path)
        if not entry.is_regular or not isinstance(entry.stamp, int):
            return f"{path} (/{shown(entry.path)})"
        layer = (entry.stamp >> _OFFSET_BITS) + 1
        return f"{path} (layer {layer} of {len(self.image.layers)}, /{shown(entry.path)})"

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        """Yields data layer by layer; see `engine.manifest.entry.Source.stream`."""
        wanted: dict[bytes, list[Entry]] = {}
        for entry in entries:
            assert isinstance(entry.stamp, int)
            layer = self.image.layers[entry.stamp >> _OFFSET_BITS]
            wanted.setdefault(layer.name, []).append(entry)
        try:
            for name, blob in self._store.passing(wanted):
                source = Reader(unpacked(blob))
                for entry in sorted(wanted[name], key=_offset):
                    source.skip(_offset(entry) - source.position)
                    yield from data_of(entry, source)
        except (BadArchive, BadImage, *CORRUPT) as error:
            path = shown(self._store.path)
            raise SourceChanged(f"{path} cannot be read again: {error}") from error


def _offset(entry: Entry) -> int:
    assert isinstance(entry.stamp, int)
    return entry.stamp & _OFFSET

"""The larger part of a record: what only a build asks for that has something to make.

A file beside the record, which has the length and SHA-256 of each item in it: the entries of each
volume (`Kept`), field by field, the digests of files, the places of their data by volume, and what
archives brought (`engine.reuse.brought`). An item is read, and held against its digest, when
somebody asks for it.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import fields

from engine.reuse.kept import Content, Kept
from engine.reuse.lines import Lines
from engine.reuse.part import Part
from engine.reuse.record import Items, Unbelievable

_FIELDS = [(one.name, msgspec.msgpack.Decoder(one.type)) for one in fields(Kept)]
_FILES = msgspec.msgpack.Decoder(dict[str, bytes])
_BYTES = msgspec.msgpack.Decoder(bytes)
_BROUGHT = msgspec.msgpack.Decoder(list[msgspec.Raw])
_BEHIND = 3
"""Items behind those of the volumes."""

_HEAD, _BIN32, _ARRAY32 = 5, b"\xc6", b"\xdd"
"""Bytes before a byte string or an array in MessagePack, and the first of them."""
_ENCODER = msgspec.msgpack.Encoder()


class Rest(NamedTuple):
    """What is kept besides the entries of volumes.

    Attributes:
        digests: Of files by identity (`engine.reuse.digests`).
        files: By id of the volume, where its files' data is (`engine.reuse.places`).
        brought: Entries of archives and container images.
    """

    digests: bytes
    files: Mapping[str, bytes]
    brought: Sequence[bytes | msgspec.Raw] = ()


class Details:
    """What is kept, read bit by bit.

    Args:
        path: The file.
        items: What the record says of it.
    """

    def __init__(self, path: Path, items: Items) -> None:
        self.items = items
        self._path = path

    def digests(self) -> bytes:
        """Returns the digests of files.

        Raises:
            Unbelievable: They are not there, or damaged.
        """
        found: bytes = next(self._read([_BYTES], len(self.items) - _BEHIND))
        return found

    def files(self) -> Mapping[str, bytes]:
        """Returns the places of files' data; raises as `digests`."""
        found: dict[str, bytes] = next(self._read([_FILES], len(self.items) - _BEHIND + 1))
        return found

    def brought(self) -> list[msgspec.Raw]:
        """Returns what archives and container images brought; raises as `digests`."""
        found: list[msgspec.Raw] = next(self._read([_BROUGHT], len(self.items) - 1))
        return found

    def kept(self) -> tuple[Kept, ...]:
        """Returns the entries of all volumes, if they were kept; raises as `digests`."""
        count = (len(self.items) - _BEHIND) // len(_FIELDS)
        values = self._read([decoder for _, decoder in _FIELDS] * count)
        return tuple(Kept(**{name: next(values) for name, _ in _FIELDS}) for _ in range(count))

    def _read(
        self, decoders: Sequence[msgspec.msgpack.Decoder[Any]], first: int = 0
    ) -> Iterator[Any]:
        """Yields as many items as there are decoders."""
        start = sum(length for length, _ in self.items[:first])
        items = self.items[first : first + len(decoders)]
        try:
            with self._path.open("rb", buffering=0) as file:
                file.seek(start)
                for (length, digest), decoder in zip(items, decoders, strict=True):
                    data = file.read(length)
                    if hashlib.sha256(data).digest() != digest:
                        raise Unbelievable(f"{self._path} is damaged")
                    yield decoder.decode(data)
        except (msgspec.MsgspecError, ValueError):
            raise Unbelievable(f"{self._path} is damaged") from None
        except OSError as error:
            raise Unbelievable(f"{self._path} cannot be read ({error.strerror})") from None


class Writer:
    """Writes all of it; the entries may come long before the rest.

    Args:
        part: The file.

    Raises:
        OSError: It cannot be written, from here on.
    """

    def __init__(self, part: Part) -> None:
        self._items: list[tuple[int, bytes]] = []
        self.part = part
        self._file = part.open()

    def keep(self, kept: Kept) -> None:
        """Writes the entries of a volume."""
        for name, _ in _FIELDS:
            self._write(getattr(kept, name))

    def finish(self, rest: Rest) -> Items:
        """Writes the rest; returns what the record says of all of it."""
        self._write(rest.digests)
        self._write(dict(rest.files))
        self._write([msgspec.Raw(one) for one in rest.brought])
        self._file.close()
        return tuple(self._items)

    def discard(self) -> None:
        """Removes the file, unless it has its name."""
        with contextlib.suppress(OSError):
            self._file.close()
        self.part.discard()

    def _write(self, value: object) -> None:
        digest, length = hashlib.sha256(), 0
        for part in _packed(value):
            digest.update(part)
            self._file.write(part)
            length += len(part)
        self._items.append((length, digest.digest()))


def _packed(value: object) -> Iterator[bytes]:
    """Yields MessagePack of a value, of long byte strings themselves and not a copy."""
    match value:
        case bytes():
            yield _BIN32 + len(value).to_bytes(_HEAD - 1, "big")
            yield value
        case Lines() | Content():
            yield from _packed(tuple(getattr(value, name) for name in value.__struct_fields__))
        case (Content() | bytes() | str(), *_):
            assert isinstance(value, Sequence)
            yield _ARRAY32 + len(value).to_bytes(_HEAD - 1, "big")
            for item in value:
                yield from _packed(item)
        case _:
            yield _ENCODER.encode(value)

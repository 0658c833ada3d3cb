"""The larger part of a record: what only a build asks for that has something to make.

A file beside the record, which has the length and SHA-256 of each item in it: the digests of files,
the places of their data by volume, what archives brought (`engine.reuse.brought`), and the entries
of each volume (`Kept`), field by field. An item is read, and held against its digest, when somebody
asks for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec
from msgspec.structs import fields

from engine.reuse.kept import Content, Kept
from engine.reuse.lines import Lines
from engine.reuse.record import Items, Unbelievable

_FIELDS = [(one.name, msgspec.msgpack.Decoder(one.type)) for one in fields(Kept)]
_FILES = msgspec.msgpack.Decoder(dict[str, bytes])
_BYTES = msgspec.msgpack.Decoder(bytes)
_BROUGHT = msgspec.msgpack.Decoder(list[msgspec.Raw])
_BEFORE = 3
"""Items before the first volume's."""

_HEAD, _BIN32, _ARRAY32 = 5, b"\xc6", b"\xdd"
"""Bytes before a byte string or an array in MessagePack, and the first of them."""
_ENCODER = msgspec.msgpack.Encoder()


class Detailed(NamedTuple):
    """What is kept.

    Attributes:
        digests: Of files by identity (`engine.reuse.digests`).
        files: By id of the volume, where its files' data is (`engine.reuse.places`).
        kept: Entries of all volumes, or nothing.
        brought: Entries of archives and container images.
    """

    digests: bytes
    files: Mapping[str, bytes]
    kept: Sequence[Kept]
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
        found: bytes = next(self._read([_BYTES]))
        return found

    def files(self) -> Mapping[str, bytes]:
        """Returns the places of files' data; raises as `digests`."""
        found: dict[str, bytes] = next(self._read([_FILES], 1))
        return found

    def brought(self) -> list[msgspec.Raw]:
        """Returns what archives and container images brought; raises as `digests`."""
        found: list[msgspec.Raw] = next(self._read([_BROUGHT], 2))
        return found

    def kept(self) -> tuple[Kept, ...]:
        """Returns the entries of all volumes, if they were kept; raises as `digests`."""
        count = (len(self.items) - _BEFORE) // len(_FIELDS)
        values = self._read([decoder for _, decoder in _FIELDS] * count, _BEFORE)
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


def write(file: BinaryIO, detailed: Detailed) -> Items:
    """Writes all of it; returns what the record says of it.

    Raises:
        OSError: It cannot be written.
    """
    found = []
    for value in _values(detailed):
        digest, length = hashlib.sha256(), 0
        for part in _packed(value):
            digest.update(part)
            file.write(part)
            length += len(part)
        found.append((length, digest.digest()))
    return tuple(found)


def _values(detailed: Detailed) -> Iterable[object]:
    yield detailed.digests
    yield dict(detailed.files)
    yield [msgspec.Raw(one) for one in detailed.brought]
    for one in detailed.kept:
        for name, _ in _FIELDS:
            yield getattr(one, name)


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

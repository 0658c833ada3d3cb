"""Where in a volume the data of its files is, by the data's digest."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from engine.filesystems.placed import Piece, Place
from engine.manifest.entry import Entry
from engine.packed import numbers

_SIZE = 32


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """Places as they are kept.

    Attributes:
        block_size: Bytes.
        digests: 32 bytes each.
        firsts: 8 bytes each: the first block, or, below 0, which of the pieces.
        pieces: Of files that are not in one.
    """

    block_size: int
    digests: bytes
    firsts: bytes
    pieces: list[list[Piece]]


_DECODER = msgspec.msgpack.Decoder(_Stored)


class Places:
    """The places of a volume's files, as a writer tells them one by one."""

    def __init__(self, block_size: int) -> None:
        self._block_size = block_size
        self._entries: list[Entry] = []
        self._places: list[Place | None] = []

    def put(self, entries: Iterable[Entry], places: Iterable[Place | None]) -> None:
        """Takes the places of files, each once; those without data have none."""
        self._entries += entries
        self._places += places

    def dumps(self, sums: Mapping[int, bytes]) -> bytes:
        """Returns them for a record.

        Args:
            sums: SHA-256 of their data by `id` (`DataSums.of`).
        """
        digests: list[bytes] = []
        firsts = array("q")
        pieces: list[list[Piece]] = []
        for entry, place in zip(self._entries, self._places, strict=True):
            digest = sums.get(id(entry))
            if not place or digest is None:
                continue
            digests.append(digest)
            if isinstance(place, int):
                firsts.append(place)
            else:
                pieces.append(place)
                firsts.append(-len(pieces))
        stored = _Stored(self._block_size, b"".join(digests), firsts.tobytes(), pieces)
        return msgspec.msgpack.encode(stored)


def moved(data: bytes, changes: Mapping[int, bytes]) -> bytes:
    """Returns places with other data in some of them.

    Args:
        data: As `Places.dumps` returned it.
        changes: By first block, the digest of what is there now.
    """
    stored = _DECODER.decode(data)
    firsts = numbers("q", stored.firsts)
    digests = bytearray(stored.digests)
    pieces = {some[0][1]: -1 - number for number, some in enumerate(stored.pieces)}
    for first, digest in changes.items():
        at = firsts.index(pieces.get(first, first)) * _SIZE
        digests[at : at + _SIZE] = digest
    return msgspec.msgpack.encode(msgspec.structs.replace(stored, digests=bytes(digests)))


class Known:
    """The places of data in a volume that an earlier build left, by digest."""

    def __init__(self, data: bytes) -> None:
        """Reads what `Places.dumps` returned.

        Raises:
            ValueError: It is something else.
        """
        stored = _DECODER.decode(data)
        firsts = numbers("q", stored.firsts)
        digests = stored.digests
        if len(digests) != _SIZE * len(firsts):
            raise ValueError("places and digests are not as many")
        self.block_size = stored.block_size
        self._pieces = stored.pieces
        self._firsts = dict(
            zip(
                (digests[at : at + _SIZE] for at in range(0, len(digests), _SIZE)),
                firsts,
                strict=True,
            )
        )

    def __len__(self) -> int:
        return len(self._firsts)

    def has(self, digest: bytes) -> bool:
        """Whether data of a digest is there."""
        return digest in self._firsts

    def runs(self, digest: bytes, size: int, place: Place) -> list[tuple[int, int, int]] | None:
        """Returns where data already is that is to be in another place.

        Args:
            digest: Of the data.
            size: Bytes of the file.
            place: Where it is to be.

        Returns:
            Runs of blocks: the first here, the first there, how many. None where some of the data
            is not here.
        """
        first = self._firsts.get(digest)
        if first is None:
            return None
        count = -(-size // self.block_size)
        if first >= 0 and isinstance(place, int):
            return [(first, place, count)]
        here = [(0, first, count)] if first >= 0 else self._pieces[-first - 1]
        there = [(0, place, count)] if isinstance(place, int) else place
        found = list(_overlaps(here, there))
        wanted = sum(length for _, _, length in there)
        return found if sum(length for _, _, length in found) == wanted else None


def _overlaps(here: Iterable[Piece], there: Iterable[Piece]) -> Iterator[tuple[int, int, int]]:
    """Yields the blocks that both have, by the file's blocks, which rise in both."""
    ours = list(here)
    index = 0
    for logical, block, count in there:
        end = logical + count
        while index and ours[index][0] > logical:
            index -= 1
        while index < len(ours) and ours[index][0] < end:
            first, disk, length = ours[index]
            low, high = max(first, logical), min(first + length, end)
            if low < high:
                yield disk + low - first, block + low - logical, high - low
            if first + length >= end:
                break
            index += 1
        index = min(index, len(ours) - 1)

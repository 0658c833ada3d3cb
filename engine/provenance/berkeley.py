"""Reads hash databases of Berkeley DB, as rpm kept its packages until version 4.16.

Source: Berkeley DB 5.3.28, src/dbinc/db_page.h (pages) and hash.h (page 0). The pages of a hash
are read one after the other instead of by their buckets: every pair stands in just one of them.

Why it is kept: rpm 4.14 of RHEL 8 and its rebuilds (Alma, Rocky, Oracle Linux, the UBI 8 container
images) writes nothing else, and these are supported until May 2029; so did RHEL and CentOS 7 and
Amazon Linux 2. No maintained Python library reads it without libdb, which distributions drop. When
RHEL 8 has ended, this file, its row in `packages` and its data in the tests can go.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from engine.provenance.package import BadDatabase
from engine.units import in_bytes

_MAGIC, _MAGIC_AT = 0x061561, 12
_VERSIONS = range(8, 11)
_PAGE_SIZES = frozenset(1 << bits for bits in range(9, 17))
_ENCRYPTION_AT, _TYPE_AT = 24, 25
_HEADER = 26
_UNSORTED, _OVERFLOW, _SORTED = 2, 7, 13
_INLINE, _OFF_PAGE = 1, 3


def pairs(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields keys and values, in the order of the file.

    Time and memory are linear in its length: no page of a long value is read twice.

    Raises:
        BadDatabase: It is not a hash database, or damaged.
    """
    try:
        yield from _Hash(data).pairs()
    except struct.error as error:
        raise BadDatabase(f"no Berkeley database: {error}") from error


class _Hash:
    def __init__(self, data: bytes) -> None:
        self._data = data
        # Numbers are in the order of the machine that wrote the file.
        little = struct.unpack_from("<I", data, _MAGIC_AT)[0] == _MAGIC
        self._order = "<" if little else ">"
        magic, version, self._size = self._numbers("III", _MAGIC_AT)
        if magic != _MAGIC or version not in _VERSIONS or data[_ENCRYPTION_AT]:
            raise BadDatabase("not a hash of Berkeley DB in versions 8 to 10, unencrypted")
        if self._size not in _PAGE_SIZES or len(data) % self._size:
            raise BadDatabase(
                f"{in_bytes(len(data))} are not a whole number of pages of {self._size:,}"
            )
        self._seen: set[int] = set()

    def _numbers(self, form: str, at: int) -> tuple[int, ...]:
        return struct.unpack_from(self._order + form, self._data, at)

    def pairs(self) -> Iterator[tuple[bytes, bytes]]:
        for page in range(self._size, len(self._data), self._size):
            if self._data[page + _TYPE_AT] in {_UNSORTED, _SORTED}:
                items = self._items(page)
                # A pair is two items; the second is looked at only after the first.
                yield from zip(items, items, strict=True)

    def _items(self, page: int) -> Iterator[bytes]:
        """Yields the items of a page, which fill it from its end on."""
        (count,) = self._numbers("H", page + 20)
        if count % 2 or _HEADER + 2 * count > self._size:
            raise BadDatabase(f"{count} items in the page at byte {page}")
        end = self._size
        for start in self._numbers(f"{count}H", page + _HEADER):
            if not _HEADER + 2 * count <= start < end:
                raise BadDatabase(f"an item at {start} of the page at byte {page}")
            yield self._item(page + start, page + end)
            end = start

    def _item(self, start: int, end: int) -> bytes:
        kind = self._data[start]
        if kind == _INLINE:
            return self._data[start + 1 : end]
        if kind == _OFF_PAGE and end - start == 12:
            first, length = self._numbers("II", start + 4)
            return self._long(first, length)
        raise BadDatabase(f"an item of kind {kind} at byte {start}")

    def _long(self, number: int, length: int) -> bytes:
        """Returns a value that has pages of its own."""
        value = bytearray()
        while len(value) < length:
            page = number * self._size
            if not 0 < page < len(self._data) or number in self._seen:
                raise BadDatabase(f"page {number} in the chain of a value")
            self._seen.add(number)
            following, _, used = self._numbers("IHH", page + 16)
            if self._data[page + _TYPE_AT] != _OVERFLOW or not 0 < used <= self._size - _HEADER:
                raise BadDatabase(f"page {number} holds no part of a value")
            value += self._data[page + _HEADER : page + _HEADER + used]
            number = following
        return bytes(value[:length])

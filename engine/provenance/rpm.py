"""The packages of rpm's databases: sqlite, Berkeley DB and ndb hold the same headers.

Sources: rpm, docs/manual/format_header.md for a header, include/rpm/rpmtag.h for its tags.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing

from engine.provenance import berkeley, ndb
from engine.provenance.package import BadDatabase, Package

# A string is type 6, an array of strings 8, in several languages 9, an integer of 32 bits 4.
_TAGS = {
    1000: "name", 1001: "version", 1002: "release", 1003: "epoch", 1011: "vendor",
    1014: "license", 1020: "url", 1022: "architecture", 1044: "source",
}  # fmt: skip
_STRINGS, _INTEGER = frozenset({6, 8, 9}), 4
_COUNTER = bytes(4)
"""Key of what is not a package in a Berkeley database: the number of the next one."""
# In memory there is no write-ahead log: these bytes of the header say that none is used (SQLite,
# "Database File Format", 1.3.3).
_NO_LOG = b"\1\1"
_MAX_HEADER = 64 << 20
"""Bytes of one header; those of the largest packages have some."""
_MAX_STEPS = 20_000_000
"""Instructions of SQLite's machine; a row takes less than ten."""


def in_sqlite(data: bytes) -> Iterator[Package]:
    """Yields the packages of rpmdb.sqlite.

    Raises:
        BadDatabase: It is damaged.
    """
    return _packages(_rows(data))


def in_berkeley(data: bytes) -> Iterator[Package]:
    """Yields the packages of a hash database, Packages.

    Raises:
        BadDatabase: It is damaged.
    """
    return _packages(value for key, value in berkeley.pairs(data) if key != _COUNTER)


def in_ndb(data: bytes) -> Iterator[Package]:
    """Yields the packages of Packages.db.

    Raises:
        BadDatabase: It is damaged.
    """
    return _packages(ndb.blobs(data))


def _rows(data: bytes) -> Iterator[bytes]:
    """Yields what is in the column of blobs: one header a row."""
    import sqlite3  # only here: a plan needs to know that there are databases, not to read them

    with closing(sqlite3.connect(":memory:")) as database:
        # A view in the table's place could go on without end, or make texts of any length.
        database.set_progress_handler(lambda: 1, _MAX_STEPS)
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_HEADER)
        try:
            database.deserialize(data[:18] + _NO_LOG + data[20:])
            for (blob,) in database.execute("SELECT blob FROM Packages"):
                yield blob
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            raise BadDatabase(f"no rpm database: {error}") from error


def _packages(headers: Iterable[bytes]) -> Iterator[Package]:
    for header in headers:
        fields = _fields(header)
        # The keys that packages are signed with are kept as if they were packages.
        if fields.get("name", "gpg-pubkey") != "gpg-pubkey":
            yield _package(fields)


def _package(fields: Mapping[str, str]) -> Package:
    epoch = f"{fields['epoch']}:" if "epoch" in fields else ""
    release = f"-{fields['release']}" if "release" in fields else ""
    return Package(
        kind="rpm",
        name=fields["name"],
        version=f"{epoch}{fields.get('version', '')}{release}",
        architecture=fields.get("architecture", ""),
        source=fields.get("source", ""),
        supplier=fields.get("vendor", ""),
        homepage=fields.get("url", ""),
        license=fields.get("license", ""),
    )


def _fields(blob: bytes) -> dict[str, str]:
    """Returns the fields of a header; of a tag that is there twice, the first."""
    fields: dict[str, str] = {}
    try:
        count, size = struct.unpack_from(">II", blob)
        store = blob[8 + count * 16 : 8 + count * 16 + size]
        for index in range(count):
            tag, kind, offset, _ = struct.unpack_from(">IIiI", blob, 8 + index * 16)
            name = _TAGS.get(tag)
            if name is None or name in fields:
                continue
            if kind in _STRINGS:
                fields[name] = store[offset : store.index(b"\0", offset)].decode("utf-8", "replace")
            elif kind == _INTEGER:
                fields[name] = str(struct.unpack_from(">I", store, offset)[0])
    except (struct.error, ValueError, TypeError) as error:
        raise BadDatabase(f"a damaged header: {error}") from error
    return fields

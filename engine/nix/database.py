"""The Nix database of an image: exactly a closure, and the same bytes every time.

The tables are those of schema 10, which Nix has used since 1.11: what a Nix of the image's own
expects to find, indexes and triggers included.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from engine.nix.closure import Closure

SCHEMA = 10
# Registration times are all this: the time says when an image was built, not what is in it.
_REGISTERED = 1
_VERSION_NUMBER_AT = slice(96, 100)
# The header records which SQLite wrote the file; a fixed one keeps the host out of the image.
_VERSION_NUMBER = (3_040_001).to_bytes(4, "big")

_TABLES = (
    """create table ValidPaths (
        id integer primary key autoincrement not null,
        path text unique not null,
        hash text not null,
        registrationTime integer not null,
        deriver text,
        narSize integer,
        ultimate integer,
        sigs text,
        ca text
    )""",
    """create table Refs (
        referrer integer not null,
        reference integer not null,
        primary key (referrer, reference),
        foreign key (referrer) references ValidPaths(id) on delete cascade,
        foreign key (reference) references ValidPaths(id) on delete restrict
    )""",
    "create index IndexReferrer on Refs(referrer)",
    "create index IndexReference on Refs(reference)",
    """create trigger DeleteSelfRefs before delete on ValidPaths begin
        delete from Refs where referrer = old.id and reference = old.id;
    end""",
    """create table DerivationOutputs (
        drv integer not null,
        id text not null,
        path text not null,
        primary key (drv, id),
        foreign key (drv) references ValidPaths(id) on delete cascade
    )""",
    "create index IndexDerivationOutputs on DerivationOutputs(path)",
)


def database(closure: Closure) -> bytes:
    """Returns db.sqlite with every path of a closure registered as valid."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in _TABLES:
            connection.execute(statement)
        numbers = {path.path: at for at, path in enumerate(closure.topological(), start=1)}
        connection.executemany(
            "insert into ValidPaths (id, path, hash, registrationTime, deriver, narSize, sigs, ca)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (
                    numbers[path.path], path.path, f"sha256:{path.nar_hash}", _REGISTERED,
                    path.deriver or None, path.nar_size,
                    " ".join(path.signatures) or None, path.ca or None,
                )
                for path in closure.topological()
            ),
        )  # fmt: skip
        connection.executemany(
            "insert into Refs (referrer, reference) values (?, ?)",
            sorted(
                (numbers[path.path], numbers[reference])
                for path in closure.paths
                for reference in path.references
            ),
        )
        connection.commit()
        connection.execute("vacuum")
        data = bytearray(connection.serialize())
    data[_VERSION_NUMBER_AT] = _VERSION_NUMBER
    return bytes(data)

"""The packages that an image's own databases name: dpkg, apk, rpm (sqlite) and a Nix store."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass

from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.lookup import find
from engine.manifest.manifest import Manifest

_MAX_DATABASE = 256 << 20
_OS_RELEASE = (b"etc/os-release", b"usr/lib/os-release")
_STORE_NAME = re.compile(r"[0-9a-z]{32}-(.+)")
_VERSION_START = re.compile(r"-(?=[^a-zA-Z])")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """One installed package.

    Attributes:
        kind: Type of its package URL: "deb", "apk", "rpm" or "nix".
        source: Name of the source package, where that is another.
        supplier: Who maintains it, as the database says it.
        license: As the database says it, which need not be an SPDX expression.
    """

    kind: str
    name: str
    version: str
    architecture: str = ""
    source: str = ""
    supplier: str = ""
    homepage: str = ""
    license: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the databases of an image name.

    Attributes:
        packages: Sorted, each once.
        databases: Paths in the image.
        distribution: `ID` of os-release, or "".
        unread: Databases that cannot be read, and why.
    """

    packages: tuple[Package, ...]
    databases: tuple[str, ...]
    distribution: str
    unread: tuple[str, ...] = ()


class BadDatabase(ValueError):
    """A database is not of its form."""


def databases(manifest: Manifest) -> tuple[bytes, ...]:
    """Returns the paths of the package databases in an image; opens nothing."""
    found = [path for path in _READERS if manifest.get(path) is not None]
    if manifest.get(b"nix/store") is not None:
        found.append(b"nix/store")
    return tuple(found)


def inventory(manifest: Manifest) -> Inventory:
    """Returns the packages of an image.

    Raises:
        SourceChanged: A database is not what was scanned.
        OSError: It cannot be read.
    """
    packages: set[Package] = set()
    unread = []
    paths = databases(manifest)
    for path in paths:
        try:
            if path in _READERS:
                for name, entry in _files(manifest, path):
                    packages.update(_READERS[path](_bytes(name, entry)))
            else:
                packages.update(_store(manifest))
        except BadDatabase as error:
            unread.append(f"/{path.decode()}: {error}")
    return Inventory(
        tuple(sorted(packages)),
        tuple(path.decode() for path in paths),
        _distribution(manifest),
        tuple(unread),
    )


def _files(manifest: Manifest, path: bytes) -> Iterator[tuple[bytes, Entry]]:
    """Yields a database's files: itself, or what the folder of that name holds."""
    entry = find(manifest.get, path)
    if entry is None:
        return
    if not entry.is_directory:
        yield path, entry
        return
    for below in manifest.under(path):
        if below.is_regular and not below.name.endswith(b".md5sums"):
            yield below.path, below.link_to or below


def _bytes(path: bytes, entry: Entry) -> bytes:
    if not entry.is_regular or entry.size > _MAX_DATABASE:
        raise BadDatabase(f"{path.decode(errors='replace')} is no file of a sensible size")
    data = bytearray(entry.size)
    if entry.source is not None:
        for _, offset, piece in entry.source.stream([entry]):
            data[offset : offset + len(piece)] = piece
    return bytes(data)


def _distribution(manifest: Manifest) -> str:
    for path in _OS_RELEASE:
        entry = find(manifest.get, path)
        if entry is None or not entry.is_regular:
            continue
        try:
            text = _bytes(path, entry).decode("utf-8", "replace")
        except (BadDatabase, SourceChanged):
            continue
        found = re.search(r"^ID=[\"']?([a-z0-9._-]+)", text, re.MULTILINE)
        if found:
            return found[1]
    return ""


def _fields(paragraph: str) -> dict[str, str]:
    """Returns the first lines of a paragraph's fields; continuation lines are passed over."""
    lines = (line.partition(":") for line in paragraph.split("\n") if not line[:1].isspace())
    return {name: value.strip() for name, colon, value in lines if colon}


def _dpkg(data: bytes) -> Iterator[Package]:
    """Reads dpkg's status file (deb822(5), dpkg-query(1) for the states)."""
    for paragraph in data.decode("utf-8", "replace").split("\n\n"):
        fields = _fields(paragraph)
        state = fields.get("Status", "install ok installed").split()
        if "Package" not in fields or state[-1:] in (["not-installed"], ["config-files"]):
            continue
        yield Package(
            kind="deb",
            name=fields["Package"],
            version=fields.get("Version", ""),
            architecture=fields.get("Architecture", ""),
            source=fields.get("Source", "").partition(" ")[0],
            supplier=fields.get("Maintainer", ""),
            homepage=fields.get("Homepage", ""),
        )


def _apk(data: bytes) -> Iterator[Package]:
    """Reads apk's installed database (Alpine wiki, "Apk spec": single-letter fields)."""
    for paragraph in data.decode("utf-8", "replace").split("\n\n"):
        fields = _fields(paragraph)
        if "P" in fields:
            yield Package(
                kind="apk",
                name=fields["P"],
                version=fields.get("V", ""),
                architecture=fields.get("A", ""),
                source=fields.get("o", ""),
                supplier=fields.get("m", ""),
                homepage=fields.get("U", ""),
                license=fields.get("L", ""),
            )


# Tags of rpm's header (rpm, rpmtag.h); a string is type 6, an array of strings 8, in several
# languages 9, an integer of 32 bits 4.
_RPM_TAGS = {
    1000: "name", 1001: "version", 1002: "release", 1003: "epoch", 1011: "vendor",
    1014: "license", 1020: "url", 1022: "architecture", 1044: "source",
}  # fmt: skip
# In memory there is no write-ahead log: these bytes of the header say that none is used (SQLite,
# "Database File Format", 1.3.3).
_NO_LOG = b"\1\1"
_MAX_HEADER = 64 << 20
"""Bytes of one header; those of the largest packages have some."""
_MAX_STEPS = 20_000_000
"""Instructions of SQLite's machine; a row takes less than ten."""
_RPM_STRINGS, _RPM_INTEGER = frozenset({6, 8, 9}), 4


def _rpm(data: bytes) -> Iterator[Package]:
    """Reads rpmdb.sqlite: one header a row, in a column of blobs."""
    import sqlite3  # only here: a plan needs to know that there are databases, not to read them

    with closing(sqlite3.connect(":memory:")) as database:
        # A view in the table's place could go on without end, or make texts of any length.
        database.set_progress_handler(lambda: 1, _MAX_STEPS)
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_HEADER)
        try:
            database.deserialize(data[:18] + _NO_LOG + data[20:])
            for (blob,) in database.execute("SELECT blob FROM Packages"):
                fields = _rpm_header(blob)
                if fields.get("name", "gpg-pubkey") != "gpg-pubkey":
                    yield _rpm_package(fields)
        except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
            raise BadDatabase(f"no rpm database: {error}") from error


def _rpm_package(fields: Mapping[str, str]) -> Package:
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


def _rpm_header(blob: bytes) -> dict[str, str]:
    """Returns the fields of a header (rpm, docs/manual/format_header.md)."""
    try:
        count, size = struct.unpack_from(">II", blob)
        store = blob[8 + count * 16 : 8 + count * 16 + size]
        fields = {}
        for index in range(count):
            tag, kind, offset, _ = struct.unpack_from(">IIiI", blob, 8 + index * 16)
            name = _RPM_TAGS.get(tag)
            if name and kind in _RPM_STRINGS:
                fields[name] = store[offset : store.index(b"\0", offset)].decode("utf-8", "replace")
            elif name and kind == _RPM_INTEGER:
                fields[name] = str(struct.unpack_from(">I", store, offset)[0])
    except (struct.error, ValueError, TypeError) as error:
        raise BadDatabase(f"a damaged header: {error}") from error
    return fields


def _store(manifest: Manifest) -> Iterator[Package]:
    """Yields the paths of a Nix store; name and version are parted as nix-env parts them."""
    depth = len(b"nix/store/")
    for entry in manifest.under(b"nix/store"):
        found = _STORE_NAME.fullmatch(entry.path[depth:].decode("utf-8", "replace"))
        if b"/" in entry.path[depth:] or found is None or found[1].endswith(".drv"):
            continue
        name, *version = _VERSION_START.split(found[1], maxsplit=1)
        yield Package(kind="nix", name=name, version="".join(version))


_READERS: Mapping[bytes, Callable[[bytes], Iterator[Package]]] = {
    b"var/lib/dpkg/status": _dpkg,
    b"var/lib/dpkg/status.d": _dpkg,
    b"lib/apk/db/installed": _apk,
    b"usr/lib/apk/db/installed": _apk,
    b"var/lib/rpm/rpmdb.sqlite": _rpm,
    b"usr/lib/sysimage/rpm/rpmdb.sqlite": _rpm,
}

"""The packages that an image's own databases name: dpkg, apk, rpm and a Nix store."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from engine.manifest.entry import Entry, SourceChanged
from engine.manifest.lookup import find
from engine.manifest.manifest import Manifest
from engine.provenance import rpm
from engine.provenance.package import BadDatabase, Package

_MAX_DATABASE = 256 << 20
_OS_RELEASE = (b"etc/os-release", b"usr/lib/os-release")
_STORE_NAME = re.compile(r"[0-9a-z]{32}-(.+)")
_VERSION_START = re.compile(r"-(?=[^a-zA-Z])")


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
        raise BadDatabase(f"{path.decode(errors='replace')} is not a file of a sensible size")
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


def _store(manifest: Manifest) -> Iterator[Package]:
    """Yields the paths of a Nix store; name and version are parted as nix-env parts them."""
    depth = len(b"nix/store/")
    for entry in manifest.under(b"nix/store"):
        found = _STORE_NAME.fullmatch(entry.path[depth:].decode("utf-8", "replace"))
        if b"/" in entry.path[depth:] or found is None or found[1].endswith(".drv"):
            continue
        name, *version = _VERSION_START.split(found[1], maxsplit=1)
        yield Package(kind="nix", name=name, version="".join(version))


_RPM = {b"rpmdb.sqlite": rpm.in_sqlite, b"Packages.db": rpm.in_ndb, b"Packages": rpm.in_berkeley}
_RPM_FOLDERS = (b"var/lib/rpm/", b"usr/lib/sysimage/rpm/", b"usr/share/rpm/")
_READERS: Mapping[bytes, Callable[[bytes], Iterator[Package]]] = {
    b"var/lib/dpkg/status": _dpkg,
    b"var/lib/dpkg/status.d": _dpkg,
    b"lib/apk/db/installed": _apk,
    b"usr/lib/apk/db/installed": _apk,
    **{folder + name: read for folder in _RPM_FOLDERS for name, read in _RPM.items()},
}

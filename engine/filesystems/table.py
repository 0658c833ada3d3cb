"""The drivers, writers and readers of the rows of `engine.spec.filesystems`, loaded when used.

A format's folder has these modules: `driver` with `DRIVERS` (a `Driver` by format), `writer` as
`engine.filesystems.driver.Writer` says, `reader` with `probe`, which returns what is in a window,
or None if it is not of this format. It may have `check`, as `engine.filesystems.driver.Check` says,
`kept`, whose function of that name is a `Keep`, `patch`, which is an
`engine.filesystems.patching.Patcher`, `soundness`, whose `examine` looks for damage that the reader
does not meet, `reader_copies`, as `engine.image.copied` says, and `native`, whose
`library_version` is that of the C library that its writer computes with. A writer may have
`settle`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import cast

from engine.filesystems.driver import Check, Driver, FilesystemPlan, Request, Writer
from engine.filesystems.patching import Patcher
from engine.filesystems.paxstream import Keep, everything
from engine.image.container import BadImage
from engine.image.copied import Copied
from engine.image.reading import Content, Examination, Window
from engine.manifest.manifest import Manifest
from engine.spec.filesystems import FILESYSTEMS
from engine.units import MIB

_NOTHING = Manifest(())
_LEAST = 4096
"""Bytes of the smallest window that is looked into."""


class _Drivers(Mapping[str, Driver]):
    """The drivers by format, in the order of the table."""

    _formats = tuple(row.key for row in FILESYSTEMS.values() if row.folder)

    def __getitem__(self, key: str) -> Driver:
        if key not in self._formats:
            raise KeyError(key)
        drivers: Mapping[str, Driver] = _module(FILESYSTEMS[key].folder, "driver").DRIVERS
        return drivers[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._formats)

    def __len__(self) -> int:
        return len(self._formats)


DRIVERS: Mapping[str, Driver] = _Drivers()
"""By format."""


def writer(key: str) -> Writer:
    """Returns what writes a format in process."""
    return cast("Writer", _module(FILESYSTEMS[key].folder, "writer"))


def settle(file: Path, planned: FilesystemPlan, epoch: int) -> None:
    """Makes what a format's program left in a file of its own the same every time.

    Raises:
        engine.filesystems.populate.PopulateFailed: It is not what the program is known to make.
        OSError: It cannot be read or written.
    """
    _module(FILESYSTEMS[planned.type].folder, "writer").settle(file, planned, epoch)


def least(key: str, sector_size: int) -> int:
    """Returns the bytes of the smallest volume of a format with nothing in it, in whole MiB.

    What a layer takes depends on what it goes with; there is nothing smaller than 1 MiB.
    """
    if FILESYSTEMS[key].layer:
        return MIB
    return DRIVERS[key].smallest(Request(manifest=_NOTHING, sector_size=sector_size))


def library_versions() -> dict[str, str]:
    """Returns the version of the C library of each format whose writer has one, by format."""
    return {
        key: _module(row.folder, "native").library_version()
        for key, row in FILESYSTEMS.items()
        if row.folder and _has(key, "native")
    }


def keep(key: str) -> Keep:
    """Returns what a format keeps of an entry's metadata."""
    if not _has(key, "kept"):
        return everything
    return cast("Keep", _module(FILESYSTEMS[key].folder, "kept").kept)


def check(key: str) -> Check | None:
    """Returns what holds a format against its plan, or None where its reader does."""
    return cast("Check", _module(FILESYSTEMS[key].folder, "check")) if _has(key, "check") else None


def patcher(key: str) -> Patcher | None:
    """Returns what changes entries of a filled file system, or None where it is made anew."""
    return (
        cast("Patcher", _module(FILESYSTEMS[key].folder, "patch")) if _has(key, "patch") else None
    )


def patchers() -> Iterator[Patcher]:
    """Yields all there are."""
    found = (patcher(key) for key, row in FILESYSTEMS.items() if row.folder)
    yield from dict.fromkeys(one for one in found if one is not None)


def figures(manifest: Manifest) -> dict[str, tuple[int, ...]]:
    """Returns what was measured of a manifest, by format, for `Patcher.restore`."""
    return {name: found for one in patchers() for name, found in one.figures(manifest).items()}


def probe(window: Window) -> tuple[Content | None, str]:
    """Returns what is in a window, or None and why what is there can't be read."""
    if window.size < _LEAST:
        return None, ""
    rows = (row for row in FILESYSTEMS.values() if row.folder and row.recognisable)
    for folder in dict.fromkeys(row.folder for row in rows):
        try:
            found: Content | None = _module(folder, "reader").probe(window)
        except (BadImage, struct.error) as error:
            return None, "; ".join(filter(None, (str(error), _copied(folder, window))))
        if found is not None:
            return found, ""
    return None, ""


def copied(window: Window) -> str:
    """Returns what a copy of a superblock says of a window in which nothing is recognised, or "".

    Old copies outlive the file system that they are of, so they mean nothing below another one.
    """
    if window.size < _LEAST:
        return ""
    folders = dict.fromkeys(row.folder for row in FILESYSTEMS.values() if row.recognisable)
    return next(filter(None, (_copied(folder, window) for folder in folders)), "")


def _copied(folder: str, window: Window) -> str:
    if not folder or find_spec(f"{__package__}.{folder}.reader_copies") is None:
        return ""
    try:
        found: Copied | None = _module(folder, "reader_copies").copied(window)
    except BadImage:
        return ""  # the container is damaged there: who reads the bytes is told
    return "" if found is None else found.sentence


def examine(content: Content) -> Examination:
    """Looks for damage that a reader does not meet, and says what was not looked at."""
    row = FILESYSTEMS[content.type]
    if not _has(content.type, "soundness"):
        return Examination((), ("all but its superblock",) if row.files else ())
    try:
        found: Examination = _module(row.folder, "soundness").examine(content)
    except (BadImage, struct.error) as error:
        return Examination((str(error),), ("what comes behind that",))
    return found


def _has(key: str, name: str) -> bool:
    return find_spec(f"{__package__}.{FILESYSTEMS[key].folder}.{name}") is not None


@cache
def _module(folder: str, name: str) -> ModuleType:
    return import_module(f"{__package__}.{folder}.{name}")

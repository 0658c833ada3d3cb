"""What an image comes from, told by the identity of files alone: nothing is read or planned.

As git's index does it: a file whose device, inode, size, mtime and ctime stayed has its contents.
A tree that rows have in common is walked once. Rows that come from more than files that the spec
names (a boot loader, a NixOS system, a hook) have no such identity.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

import engine
from engine.fleet.model import Row
from engine.manifest.patterns import glob, is_glob
from engine.spec.model import Boot, ImageSpec, Nix
from engine.spec.paths import home
from engine.tools.installed import find
from engine.tools.table import TOOLS

EPOCH = "SOURCE_DATE_EPOCH"

_GRAIN_NS = 20_000_000
"""Two changes of a file this close may get the same time: Linux takes that of its last tick."""
_COARSE_NS = 2_000_000_000
"""The same where times are kept in seconds, or in two of them (FAT, ext3, some servers)."""
_SECOND_NS = 1_000_000_000


class Identities:
    """Digests of the inputs of rows, as of now."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = os.environ if environment is None else environment
        self._trees: dict[bytes, str] = {}
        self._tools = _tools()

    def of(self, row: Row) -> str:
        """Returns the digest of all that a row's image comes from; "" where only building tells."""
        if not files_alone(row.spec):
            return ""
        described = (
            _program(), self._tools, self._environment.get(EPOCH), str(row.base), row.spec,
        )  # fmt: skip
        digest = hashlib.sha256(msgspec.json.encode(described))
        for source in _sources(row.spec):
            tree = self._tree(os.path.join(os.fsencode(row.base), os.fsencode(home(source))))
            if not tree:
                return ""
            digest.update(tree.encode())
        return digest.hexdigest()

    def _tree(self, path: bytes) -> str:
        known = self._trees.get(path)
        if known is None:
            known = self._trees[path] = self._looked_at(path)
        return known

    def _looked_at(self, path: bytes) -> str:
        """Looks at a tree, and again where it changed so lately that one more would not show."""
        try:
            looked = _look(path)
            if looked.recent and not looked.coarse:
                time.sleep(2 * _GRAIN_NS / _SECOND_NS)
                looked = _look(path)
        except OSError:
            return ""  # it is missing or cannot be read: planning has the words for that
        return "" if looked.recent else looked.digest


@dataclass(frozen=True, slots=True)
class _Look:
    """A tree at a time: what it is, and whether its times are too young or too coarse to tell."""

    digest: str
    recent: bool
    coarse: bool


def _look(path: bytes) -> _Look:
    now = time.time_ns()
    digest = hashlib.sha256()
    newest, coarse = 0, False
    for top in list(glob(path)) if is_glob(os.fsdecode(path)) else [path]:
        digest.update(b"%d:%s\n" % (len(top), top))
        for name, status in _walk(top):
            digest.update(b"%d:%s %s\n" % (len(name), name, repr(_fields(status)).encode()))
            newest = max(newest, status.st_ctime_ns)
            coarse = coarse or not status.st_ctime_ns % _SECOND_NS
    recent = newest >= now - (_COARSE_NS if coarse else _GRAIN_NS)
    return _Look(digest.hexdigest(), recent, coarse)


def _fields(status: os.stat_result) -> tuple[int, ...]:
    return (
        status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_gid,
        status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
    )  # fmt: skip


def _walk(top: bytes) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yields every path at and below one, in order, links not followed but for the first."""
    status = os.stat(top)
    yield b"", status
    if not os.path.isdir(top):
        return
    folders = [b""]
    while folders:
        folder = folders.pop()
        with os.scandir(os.path.join(top, folder) if folder else top) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            name = os.path.join(folder, entry.name) if folder else entry.name
            yield name, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)


def files_alone(spec: ImageSpec) -> bool:
    """Whether an image comes from nothing but the files that its spec names, and from tools."""
    boot = msgspec.structs.replace(spec.boot, loader=None, kernel=None, initrd=None, cmdline=None)
    return (
        spec.boot.loader in {None, "none"}
        and boot == Boot()
        and spec.nix == Nix()
        and spec.hooks.after_build is None
        and not spec.output.sign
        and spec.identity.deterministic is not False
    )


def _sources(spec: ImageSpec) -> Iterator[str]:
    """Yields the files and folders that a spec names."""
    for content in spec.contents:
        yield content.source
    for volume in spec.volume:
        yield from (path for path in (volume.source, volume.key, volume.certificate) if path)


def _tools() -> str:
    """Returns a digest of which programs there are: a new version is another file."""
    found = {}
    for name in TOOLS:
        path = find(name)
        if path is not None:
            found[name] = (os.path.realpath(path), _fields(os.stat(path)))
    return hashlib.sha256(repr(sorted(found.items())).encode()).hexdigest()


@cache
def _program() -> str:
    """Returns a digest of this program: its version, and which files its code is in."""
    digest = hashlib.sha256(engine.__version__.encode())
    folder = Path(engine.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        status = path.stat()
        digest.update(repr((str(path), status.st_size, status.st_mtime_ns)).encode())
    return digest.hexdigest()

"""Loss of power: what a folder may hold after one, at each moment of what a process does in it.

A file system promises little. Data is on the device once the file was synced; until then a file may
be empty, zeros, or anything between. A name is there once its folder was synced; until then each
link, rename and removal may have happened or not, whatever the order. One call is all or nothing.

`Watch` records the calls of this process by standing in for the functions of `os` that sync and
change names, and looks at the folder after each; what other processes and plain `open` do is seen
as a change that came before the next call. `crashes` then yields the states that are permitted.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from unittest import mock

SYNCS = ("fsync", "fdatasync")
NAMES = ("link", "rename", "replace", "unlink", "remove", "mkdir", "rmdir", "symlink")

_MANY = 10
"""Changes of names up to which every selection of them is tried; beyond, a sample."""
_SAMPLE = 1 << _MANY
_FOLDER = -1
"""Stands for a folder in the place of an inode's number."""

TORN = "torn"
"""What a file has that was not synced: nothing that anybody could rely on."""

Name = tuple[str, str]
"""Folder, relative to the one that is watched, and the name in it."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one call did to names, all at once: the inode that each has now, None for none."""

    names: tuple[tuple[Name, int | None], ...]

    def without(self, folder: str) -> Change:
        """Returns what is left of it once a folder was synced."""
        return Change(tuple((name, inode) for name, inode in self.names if name[0] != folder))


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known of the device between two calls.

    Attributes:
        after: The call that came before.
        names: Those on the device for certain, with their inodes.
        pending: Changes that may have happened or not.
        contents: Digests of what the inodes hold that were synced and not changed since.
    """

    after: str
    names: dict[Name, int]
    pending: tuple[Change, ...]
    contents: dict[int, str]


@dataclass
class Watch:
    """The calls of this process on a folder.

    Attributes:
        root: The folder.
        calls: Every call seen, by name and path.
        moments: One after each.
    """

    root: Path
    calls: list[tuple[str, str]] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.root = self.root.resolve()
        self._lock = threading.RLock()
        self._seen = self._scan()
        self._durable = dict(self._seen)
        self._pending: list[Change] = []
        self._synced: dict[int, tuple[tuple[int, int], str]] = {}
        for name in self._seen:
            self._settle(self.root / name[0] / name[1])
        self._keep("beginning")

    def __enter__(self) -> Self:
        self._patches = [
            mock.patch.object(os, name, self._watched(name, getattr(os, name)))
            for name in (*SYNCS, *NAMES)
        ]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        for patch in self._patches:
            patch.stop()
        with self._lock:
            self._look()
            self._keep("end")

    def _watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as of os
            with self._lock:
                self._look()
                result = real(*arguments, **options)
                if name in SYNCS:
                    self._sync(name, arguments[0])
                else:
                    self._rename(name, arguments)
                return result

        return call

    def _sync(self, name: str, handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        if not path.is_relative_to(self.root):
            return
        inside = os.path.relpath(path, self.root)
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            here = {key: value for key, value in self._durable.items() if key[0] != inside}
            here |= {key: value for key, value in self._seen.items() if key[0] == inside}
            self._durable = here
            left = (change.without(inside) for change in self._pending)
            self._pending = [change for change in left if change.names]
        else:
            self._settle(path)
        self._keep(f"{name} {inside}")
        self.calls.append((name, inside))

    def _rename(self, name: str, arguments: tuple[Any, ...]) -> None:
        before = len(self._pending)
        self._look()
        if len(self._pending) == before:
            return  # elsewhere, or without an effect
        paths = [
            os.fsdecode(one) for one in arguments if isinstance(one, (str, bytes, os.PathLike))
        ]
        self._keep(f"{name} {' '.join(paths)}")
        self.calls.append((name, paths[-1]))

    def _look(self) -> None:
        """Notes what changed since the last look as one change."""
        now = self._scan()
        keys = sorted(now.keys() | self._seen.keys())
        changed = tuple((k, now.get(k)) for k in keys if now.get(k) != self._seen.get(k))
        if changed:
            self._pending.append(Change(changed))
        self._seen = now

    def _settle(self, path: Path) -> None:
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            self._synced[status.st_ino] = ((status.st_size, status.st_mtime_ns), digest)

    def _scan(self) -> dict[Name, int]:
        found: dict[Name, int] = {}
        for place, folders, files in os.walk(self.root):
            inside = os.path.relpath(place, self.root)
            found |= {(inside, name): _FOLDER for name in folders}
            for name in files:
                try:
                    found[inside, name] = Path(place, name).lstat().st_ino
                except FileNotFoundError:
                    continue
        return found

    def _keep(self, after: str) -> None:
        contents = {}
        for name, inode in self._seen.items():
            if inode not in self._synced:
                continue
            at_sync, digest = self._synced[inode]
            status = os.lstat(self.root / name[0] / name[1])
            if (status.st_size, status.st_mtime_ns) == at_sync:
                contents[inode] = digest
        for inode, (_, digest) in self._synced.items():
            if inode not in self._seen.values():  # a name that is gone, and may be there again
                contents[inode] = digest
        self.moments.append(Moment(after, dict(self._durable), tuple(self._pending), contents))


def crashes(moment: Moment, seed: int = 0) -> Iterator[dict[str, str]]:
    """Yields the states that a loss of power may leave: path to digest, or `TORN`."""
    count = len(moment.pending)
    selections: Iterator[tuple[bool, ...]]
    if count <= _MANY:
        selections = iter(itertools.product((False, True), repeat=count))
    else:
        draw = random.Random(seed)
        prefixes = [tuple(n < length for n in range(count)) for length in range(count + 1)]
        drawn = [tuple(draw.random() < 0.5 for _ in range(count)) for _ in range(_SAMPLE)]
        selections = iter([*prefixes, *drawn])
    for happened in selections:
        names = dict(moment.names)
        for change, did in zip(moment.pending, happened, strict=True):
            for name, inode in change.names if did else ():
                if inode is None:
                    names.pop(name, None)
                else:
                    names[name] = inode
        yield {
            os.path.normpath(Path(*name)): moment.contents.get(inode, TORN)
            for name, inode in names.items()
            if inode != _FOLDER and _reachable(name[0], names)
        }


def _reachable(folder: str, names: dict[Name, int]) -> bool:
    while folder != ".":
        parent, name = os.path.split(folder)
        if (parent or ".", name) not in names:
            return False
        folder = parent or "."
    return True

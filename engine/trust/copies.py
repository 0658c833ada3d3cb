"""Copies of a build's sources: the same to a reader, laid out otherwise on the disk.

A copy has the names, modes, times, links, holes and attributes of its original. It has other
inode numbers, was created in the opposite order, lies elsewhere, and many of its files have a
further name outside of it, so that their link counts differ.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.manifest.patterns import glob, is_glob
from engine.pipeline.sparse import copy_range
from engine.problem import Problem, Refused
from engine.spec.settings import ContentSettings
from engine.units import in_bytes

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(slots=True)
class Copies:
    """What was copied.

    Attributes:
        sources: For each content entry, by index, where it is to be read instead.
        left: Those that stay where they are, and why.
        private: Whether some file or folder cannot be read by its owner.
    """

    sources: dict[int, Path] = field(default_factory=dict)
    left: dict[int, str] = field(default_factory=dict)
    private: bool = False


def copy_sources(contents: Iterable[ContentSettings], into: Path) -> Copies:
    """Copies the source of every content entry.

    A source that cannot be copied whole (device nodes and some attributes need root) stays
    where it is.

    Args:
        contents: The entries.
        into: A folder of our own.

    Raises:
        Refused: There is no room for the copies.
    """
    copies = Copies()
    outside = into / "further names"
    outside.mkdir(parents=True)
    for content in contents:
        place = into / f"content {content.index}"
        copier = _Copier(outside / str(content.index))
        try:
            copies.sources[content.index] = copier.content(content, place)
        except OSError as error:
            if error.errno in _NO_SPACE:
                raise _no_room(content.source, into) from error
            copies.left[content.index] = f"{error.filename or content.source}: {error.strerror}"
        copies.private |= copier.private
    return copies


class _Copier:
    """Copies one entry; hard links among its files stay hard links."""

    def __init__(self, outside: Path) -> None:
        self._outside = outside
        self._inodes: dict[tuple[int, int], Path] = {}
        self.private = False

    def content(self, content: ContentSettings, place: Path) -> Path:
        """Copies what a source names or matches; returns the source of the copy."""
        source = content.source
        if not is_glob(source):
            target = place / source.name
            place.mkdir()
            # A link given as a source stands for the folder or archive that it leads to.
            self.tree(source.resolve() if source.is_dir() or content.extract else source, target)
            return target
        parts = source.parts
        fixed = next(at for at, part in enumerate(parts) if "*" in part)
        base = Path(*parts[:fixed])
        for match in sorted(glob(os.fsencode(source)), reverse=True):
            path = Path(os.fsdecode(match))
            target = place / path.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.tree(path, target)
        return place.joinpath(*parts[fixed:])

    def tree(self, source: Path, target: Path) -> None:
        """Copies a file or a folder with all that is in it."""
        status = source.lstat()
        if not stat.S_ISDIR(status.st_mode):
            self._file(source, target, status)
            return
        target.mkdir()
        for path in sorted(source.iterdir(), reverse=True):
            self.tree(path, target / path.name)
        self._metadata(source, target, status)

    def _file(self, source: Path, target: Path, status: os.stat_result) -> None:
        inode = status.st_dev, status.st_ino
        first = self._inodes.setdefault(inode, target)
        if first is not target:
            os.link(first, target, follow_symlinks=False)
            return
        if stat.S_ISLNK(status.st_mode):
            target.symlink_to(source.readlink())
        elif stat.S_ISREG(status.st_mode):
            copy_range(source, 0, status.st_size, target, lambda: False)
        else:
            os.mknod(target, status.st_mode, status.st_rdev)
        self._metadata(source, target, status)
        if stat.S_ISREG(status.st_mode) and len(self._inodes) % 2:
            self._outside.mkdir(exist_ok=True)
            os.link(target, self._outside / str(len(self._inodes)))

    def _metadata(self, source: Path, target: Path, status: os.stat_result) -> None:
        link = stat.S_ISLNK(status.st_mode)
        if not link:
            target.chmod(stat.S_IMODE(status.st_mode))
            needed = stat.S_IRUSR | (stat.S_IXUSR if stat.S_ISDIR(status.st_mode) else 0)
            self.private |= status.st_mode & needed != needed
        for name in os.listxattr(source, follow_symlinks=False):
            value = os.getxattr(source, name, follow_symlinks=False)
            os.setxattr(target, name, value, follow_symlinks=False)
        times = status.st_atime_ns, status.st_mtime_ns
        os.utime(target, ns=times, follow_symlinks=False)


def _below(folder: Path) -> Iterator[Path]:
    """Yields all that is in a folder; pathlib of Python 3.11.2 stumbles over a long link."""
    for at, folders, files in os.walk(folder):
        yield from (Path(at, name) for name in (*folders, *files))


def hand_over(folder: Path, owner: int) -> None:
    """Gives a folder and all that is in it to another user and group; modes stay."""
    for path in (folder, *_below(folder)):
        mode = path.lstat().st_mode
        os.chown(path, owner, owner, follow_symlinks=False)
        if mode & (stat.S_ISUID | stat.S_ISGID) and not stat.S_ISLNK(mode):
            path.chmod(stat.S_IMODE(mode))  # chown(2) takes these bits away


def _no_room(source: Path, into: Path) -> Refused:
    free = shutil.disk_usage(into).free
    return Refused(
        [
            Problem(
                "no-room",
                "error",
                "",
                f"no room in {into} for a copy of {source}: {in_bytes(free)} are left",
                "name a larger folder for temporary files with TMPDIR",
            )
        ]
    )

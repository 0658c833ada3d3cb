"""Outputs of a build: made in a hidden folder beside their final names, renamed when complete."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path, PurePath

from engine.pipeline.locking import SUFFIX
from engine.pipeline.moving import NO_LINKS, make_folders, place, remove, sync
from engine.pipeline.undo import Undo
from engine.plan.outdir import look
from engine.plan.outputs import RECORD

IMAGE, OUTPUT = "image.part", "output.part"
"""In the hidden folder: the raw image in the making, the converted image."""

ROOT = "root.part"
"""In the hidden folder: the root that a NixOS system's installer runs in."""

GUEST_KERNEL, GUEST_INITRD, GUEST_STATUS = "kernel.part", "initrd.part", "status.part"
"""In the hidden folder: the virtual machine that such an installer runs in, and its last word."""


ROOT_HASH_FILE, SIGNATURE_FILE = "root-hash.part", "signature.part"
"""In the hidden folder: a root hash that is signed, and its signature."""


def volume(key: str) -> str:
    """Returns what a file of the volume of that id alone is called in the hidden folder."""
    return f"volume-{key}.part"


@dataclass(frozen=True, slots=True)
class _Borrowed:
    """An output of the last build that is changed in place.

    Attributes:
        path: Its final name.
        image: The file, open for writing.
        undo: What makes it what it was.
        mtime_ns: When it was made.
    """

    path: Path
    image: int
    undo: Undo
    mtime_ns: int


class Staging:
    """The hidden folder of one build, and the way from there to the output folder.

    A file in the making is called `NAME.part` even here; it gets its own name when it is
    complete and verified. Nothing in the output folder changes before `publish`.

    Attributes:
        outdir: The output folder.
        force: Whether files of others' may be replaced once the outputs are complete.
        update: Whether an earlier build's image and what goes with it may be replaced.
        folder: The hidden folder.
        image: The raw image in the making.
        published: Names of what has been moved to its final name.
        returned: Name of an output that was changed in place, and is back as it was; or "".
    """

    def __init__(
        self, outdir: Path, name: str, *, force: bool = False, update: bool = False
    ) -> None:
        self.outdir = outdir
        self.force = force
        self.update = update
        self._published = self._record_stays = False
        self.published: list[str] = []
        self.returned = ""
        self._borrowed: _Borrowed | None = None
        self.folder = outdir / f".{name}{SUFFIX}"
        self.image = self.folder / IMAGE

    def begin(self) -> None:
        """Makes the hidden folder, which must be ours alone.

        Raises:
            OSError: Something has its name, or no folder can be made.
        """
        self.folder.mkdir()

    def part(self, name: str) -> Path:
        """Returns where an output is made until it is complete."""
        path = self.folder / f"{name}.part"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def complete(self, part: Path, name: str) -> Path:
        """Gives a finished file its own name, still inside the hidden folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return part.replace(path)

    def write(self, name: str, data: bytes) -> Path:
        """Makes a small output in one go."""
        part = self.part(name)
        part.write_bytes(data)
        return self.complete(part, name)

    def finished(self) -> list[str]:
        """Returns the names, relative to the folder, of the outputs that are complete."""
        paths = (path for path in self.folder.rglob("*") if not path.is_dir() or path.is_symlink())
        names = (path.relative_to(self.folder).as_posix() for path in paths)
        return sorted(name for name in names if not _in_the_making(name))

    def allocated(self) -> int:
        """Returns the bytes on disk that the build has written so far."""
        total = 0
        for path in self.folder.rglob("*"):
            with contextlib.suppress(OSError):
                total += path.lstat().st_blocks * 512
        return total

    def sync(self, cancelled: Callable[[], bool]) -> None:
        """Has every complete output written to the storage device itself (fsync(2)).

        Raises:
            OSError: The device could not take one.
        """
        for name in self.finished():
            path = self.folder / name
            if stat.S_ISREG(path.lstat().st_mode) and not cancelled():
                sync(path, os.O_NOFOLLOW)

    def borrow(self, path: Path, part: Path, undo: Undo) -> int:
        """Moves an output of the last build here, to be changed in place.

        Until `publish` is over, `discard` puts it back as it was. Where the build is killed or
        power is lost meanwhile, nothing has its name: its move has reached the device before the
        first change.

        Args:
            path: The output.
            part: Its name here.
            undo: Has kept what will be overwritten.

        Returns:
            The file, open for writing until the build is over.

        Raises:
            OSError: It cannot be moved.
        """
        image = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            path.replace(part)
        except OSError:
            os.close(image)
            raise
        self._borrowed = _Borrowed(path, image, undo, os.fstat(image).st_mtime_ns)
        sync(self.outdir, os.O_DIRECTORY)
        sync(self.folder, os.O_DIRECTORY)
        return image

    def give_back(self) -> None:
        """Puts an output back that was to be changed in place, unless somebody has its name.

        Raises:
            OSError: It does not go back; nothing has its name then.
        """
        borrowed, self._borrowed = self._borrowed, None
        if borrowed is not None:
            try:
                self._give_back(borrowed)
            finally:
                os.close(borrowed.image)

    def _make_room(self) -> None:
        """Removes what giving back does not need: it may need room on a disk that is full."""
        if self._borrowed is not None:
            inode = os.fstat(self._borrowed.image).st_ino
            for path in self.folder.rglob("*"):
                status = path.lstat()
                needed = path == self._borrowed.undo.path or status.st_ino == inode
                if stat.S_ISREG(status.st_mode) and not needed:
                    path.unlink()

    def _give_back(self, borrowed: _Borrowed) -> None:
        inode = os.fstat(borrowed.image).st_ino
        here = [path for path in self.folder.rglob("*") if path.lstat().st_ino == inode]
        if not here:
            return
        borrowed.undo.undo(borrowed.image)
        os.utime(borrowed.image, ns=(borrowed.mtime_ns, borrowed.mtime_ns))
        place(here[0], borrowed.path)
        sync(self.outdir, os.O_DIRECTORY)
        self.returned = borrowed.path.name

    def publish(self, last: tuple[str, ...], *, once: Collection[str] = ()) -> None:
        """Moves every complete output to its final name, those of `last` in that order at the end.

        Each move is atomic; what describes the image (`last`) never appears before it, not even
        where power is lost in between. Where one fails, or the moves cannot be brought to the
        storage device, those before it are taken back and what they replaced is put back.

        Args:
            last: Names of what describes the others.
            once: Names of the image and what goes with it, which only `force` or `update`
                replaces.

        Raises:
            FileExistsError: A file is there that may not be replaced.
            OSError: An output cannot be moved.
        """
        names = self.finished()
        found = look(self.outdir, [*names, RECORD])
        if RECORD in found.foreign and not self.force:
            raise FileExistsError(
                errno.EEXIST, os.strerror(errno.EEXIST), str(self.outdir / RECORD)
            )
        replaceable = found.ours if self.update else found.ours.difference(once)
        moved: list[str] = []
        made: list[Path] = []
        try:
            described = [name for name in names if name not in last]
            for group in (described, [name for name in last if name in names]):
                for name in group:
                    made += make_folders(self.outdir, name)
                    if self.force or name in replaceable:
                        self._replace(name)
                    else:
                        place(self.folder / name, self.outdir / name)
                    moved.append(name)
                # Each group for itself: names may reach the device in any order until then.
                for folder in sorted({one for name in group for one in PurePath(name).parents}):
                    sync(self.outdir / folder, os.O_DIRECTORY)
        except OSError:
            for name in reversed(moved):
                self._take_back(name)
            for folder in reversed(made):
                with contextlib.suppress(OSError):
                    folder.rmdir()
            raise
        self._published, self.published = True, moved
        if self._borrowed is not None:
            os.close(self._borrowed.image)
            self._borrowed = None

    def keep_record(self) -> None:
        """Has the record of the last build stay: this one has changed nothing."""
        self._published = True
        self._record_stays = True

    def publish_record(self) -> None:
        """Moves the record to its final name.

        That of a build that failed replaces nothing but another record, `force` or not.

        Raises:
            FileExistsError: A file is there that may not be replaced.
            OSError: It cannot be moved.
        """
        if self._record_stays:
            return
        part, final = self.part(RECORD), self.outdir / RECORD
        sync(part, os.O_NOFOLLOW)
        if (self.force and self._published) or look(self.outdir, (RECORD,)).ours:
            part.replace(final)
        else:
            place(part, final)
        sync(self.outdir, os.O_DIRECTORY)

    def _replaced(self, name: str) -> Path:
        """Returns where the output that one of this name replaces is kept."""
        return self.folder / f"{name}.replaced.part"

    def _replace(self, name: str) -> None:
        """Moves an output to its name, and keeps what has it."""
        final, before = self.outdir / name, self._replaced(name)
        try:
            os.link(final, before, follow_symlinks=False)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            if final.is_dir() and not final.is_symlink():
                raise IsADirectoryError(
                    errno.EISDIR, os.strerror(errno.EISDIR), str(final)
                ) from None
            final.replace(before)
        try:
            (self.folder / name).replace(final)
        except OSError:
            if _there(before):
                before.replace(final)
            raise

    def _take_back(self, name: str) -> None:
        final, before = self.outdir / name, self._replaced(name)
        with contextlib.suppress(OSError):
            if _there(before):
                before.replace(final)
            else:
                final.replace(self.folder / name)

    def discard(self) -> None:
        """Removes the hidden folder and everything in it but what is not its own."""
        with contextlib.suppress(OSError):  # then nothing has its name
            self._make_room()
            self.give_back()
        remove(self.folder)


def _there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _in_the_making(name: str) -> bool:
    return any(part.endswith(".part") for part in name.split("/"))

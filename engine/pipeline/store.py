"""A store of finished volumes by their keys: a folder that builds share, also across machines.

    STORE/store.json              says what it is
    STORE/volumes/K2/KEY/data     the bytes of a volume, as a file with holes
    STORE/volumes/K2/KEY/entry.json   their number, and a digest of them
    STORE/digests/MACHINE         digests of files by identity (`engine.reuse.digests`)
    STORE/locks/NAME              who makes what at the moment; locks, not files, count
    STORE/tmp/                    what is on its way in or out

An entry appears by one rename and never changes, so any number of writers may share the folder,
and two that make the same entry make the same bytes. It is verified before it is believed, by its
digest or, in a store of one run alone, by its file being as it was left; one that is damaged is
thrown out. The collector removes what was not used for longest.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine.image.whole import read_whole
from engine.pipeline.sparse import copy_data, data_ranges
from engine.problem import Problem, Refused
from engine.reuse.digests import BadDigests, Digests
from engine.units import in_bytes

SCHEMA = 1
_MARK, _VOLUMES, _DIGESTS, _LOCKS, _TMP = "store.json", "volumes", "digests", "locks", "tmp"
_FOLDERS = (_VOLUMES, _DIGESTS, _LOCKS, _TMP)
_OWN = frozenset({_MARK, *_FOLDERS})
_DATA, _ENTRY = "data", "entry.json"
_CHUNK = 1 << 20
_GRAIN = 1 << 16
"""Bytes that are hashed or, where all of them are zero, passed over."""
_ZEROS = bytes(_GRAIN)
_STALE_SECONDS = 24 * 3600
"""Age from which on what lies in `tmp` is somebody's who was killed."""
_WAIT_SECONDS = 0.02


class _Entry(msgspec.Struct, frozen=True):
    """What is said of the data: a digest of it or, where the store does not stay, `_state`."""

    schema: int
    length: int
    sha256: str = ""
    state: tuple[int, ...] = ()


class _Mark(msgspec.Struct, frozen=True):
    diskwright_store: int


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry that was verified.

    Attributes:
        key: What it goes by.
        path: Of its data.
        length: Bytes, holes included.
        data: Bytes that are not a hole.
    """

    key: str
    path: Path
    length: int
    data: int


@dataclass(slots=True)
class Claim:
    """The right to make an entry, which nobody else has meanwhile."""

    _handle: int = -1

    @property
    def held(self) -> bool:
        """Whether it is had, and not given back."""
        return self._handle >= 0

    def release(self) -> None:
        """Gives it back; others go on."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)


class Damaged(Exception):
    """An entry is not what was put there, as the message says; it has been thrown out."""


class Store:
    """One store, as one process sees it.

    Args:
        folder: Made if it is not there.
        limit: Bytes on disk above which what was not used for longest is removed, or None.
        stays: It is to outlast the run, and a loss of power.

    Raises:
        Refused: The folder cannot be used, or is something else.
    """

    def __init__(self, folder: Path, limit: int | None = None, *, stays: bool = True) -> None:
        self.folder = folder
        self.limit = limit
        self.stays = stays
        self._verified: dict[str, tuple[str | int, ...]] = {}
        try:
            self._begin()
        except OSError as error:
            message = f"the store {folder} cannot be used: {error.strerror}"
            raise Refused([Problem("store", "error", "", message, "name another")]) from None

    def _begin(self) -> None:
        mark = self.folder / _MARK
        self.folder.mkdir(parents=True, exist_ok=True)
        # Another process may be beginning it, too: folders of its may be there before the mark.
        if not mark.exists() and any(
            one.name not in _OWN and not one.name.startswith(".") for one in self.folder.iterdir()
        ):
            self._strange()
        for name in _FOLDERS:
            (self.folder / name).mkdir(exist_ok=True)
        if not mark.exists():
            self._write(mark, msgspec.json.encode(_Mark(SCHEMA)) + b"\n")
        try:
            found = msgspec.json.decode(mark.read_bytes(), type=_Mark).diskwright_store
        except msgspec.MsgspecError:
            found = 0
        if found != SCHEMA:
            self._strange()
        self._sweep()

    def _strange(self) -> None:
        message = f"{self.folder} is not a store of this version, and is not empty"
        raise Refused([Problem("store", "error", "", message, "name an empty or a new folder")])

    def get(self, key: str, cancelled: Callable[[], bool]) -> Stored | None:
        """Returns an entry whose bytes are what was put there, or None where there is none.

        Bytes that this process has verified are believed while the file stays as it is.

        Raises:
            Damaged: They are not.
            OSError: They cannot be read.
        """
        place = self._place(key)
        try:
            entry = msgspec.json.decode((place / _ENTRY).read_bytes(), type=_Entry)
            if entry.schema != SCHEMA:
                raise msgspec.ValidationError(f"it is of version {entry.schema}")
            handle = os.open(place / _DATA, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            if place.is_dir():
                self._throw_out(place)
            return None
        except msgspec.MsgspecError as error:
            self._throw_out(place)
            raise Damaged(f"its description cannot be read: {error}") from error
        try:
            status = os.fstat(handle)
            state = _state(status)
            if self._verified.get(key) != (entry.sha256, *state):
                why = _differs(handle, status, entry, cancelled)
                if cancelled():
                    return None
                if why:
                    self._throw_out(place)
                    raise Damaged(why)
                self._verified[key] = (entry.sha256, *state)
        finally:
            os.close(handle)
        with contextlib.suppress(OSError):
            os.utime(place / _ENTRY)  # used just now
        return Stored(key, place / _DATA, entry.length, status.st_blocks * 512)

    def put(
        self, key: str, image: Path, offset: int, length: int, cancelled: Callable[[], bool]
    ) -> bool:
        """Puts a part of an image in under its key; whether it was not there before.

        Raises:
            OSError: It cannot be written.
        """
        place = self._place(key)
        if place.is_dir():
            return False
        made = self.folder / _TMP / f"{uuid.uuid4().hex}.volume"
        made.mkdir()
        try:
            data = made / _DATA
            with image.open("rb") as source, data.open("xb") as target:
                target.truncate(length)
                copy_data(
                    source.fileno(), target.fileno(), offset, offset + length, -offset, cancelled
                )
                self._sync(target.fileno())
            handle = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
            try:
                digest = _digest(handle, length, cancelled) if self.stays else ""
                state = _state(os.fstat(handle))
            finally:
                os.close(handle)
            if cancelled():
                return False
            entry = _Entry(SCHEMA, length, digest, () if self.stays else state)
            self._write(made / _ENTRY, msgspec.json.encode(entry) + b"\n")
            place.parent.mkdir(exist_ok=True)
            try:
                made.rename(place)
            except OSError:
                if place.is_dir():
                    return False  # another one was faster, with the same bytes
                raise
            self._verified[key] = (digest, *state)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        if self.limit is not None:
            self.collect(self.limit, keep=key)
        return True

    def collect(self, limit: int, *, keep: str = "") -> int:
        """Removes what was not used for longest until the rest takes so many bytes; returns those.

        Args:
            limit: Bytes on disk.
            keep: Key of an entry that stays whatever it takes.
        """
        entries = sorted(self._entries())
        taken = sum(size for _, size, _ in entries)
        for _, size, place in entries:
            if taken <= limit:
                break
            if place.name != keep and self._throw_out(place):
                taken -= size
        return taken

    def digests_state(self) -> tuple[int, ...] | None:
        """Returns what tells whether `digests` would return something else, or None."""
        try:
            return _state(self._known.stat())
        except OSError:
            return None

    def digests(self) -> Digests:
        """Returns the digests of files that builds on this machine have learned."""
        try:
            return Digests.loads(self._known.read_bytes())
        except (OSError, BadDigests):
            return Digests()

    def learn(self, digests: Digests) -> None:
        """Keeps digests for the next builds on this machine; those of others made meanwhile, too.

        Raises:
            OSError: They cannot be written.
        """
        while (claim := self.claim(f"digests-{_machine()}")) is None:
            time.sleep(_WAIT_SECONDS)
        try:
            self._write(self._known, self.digests().joined(digests).dumps())
        finally:
            claim.release()

    def claim(self, name: str) -> Claim | None:
        """Returns the right to make what goes by a name, or None while somebody else has it."""
        handle = os.open(self.folder / _LOCKS / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        except OSError:  # a file system without locks: two may make the same
            pass
        return Claim(handle)

    @property
    def _known(self) -> Path:
        return self.folder / _DIGESTS / _machine()

    def _place(self, key: str) -> Path:
        return self.folder / _VOLUMES / key[:2] / key

    def _entries(self) -> Iterator[tuple[int, int, Path]]:
        """Yields when each entry was used last, its bytes on disk, and its place."""
        for place in (self.folder / _VOLUMES).glob("*/*"):
            with contextlib.suppress(OSError):
                used = (place / _ENTRY).stat().st_mtime_ns
                yield used, (place / _DATA).stat().st_blocks * 512, place

    def _throw_out(self, place: Path) -> bool:
        """Removes an entry, in one move first, so that nobody finds a part of it."""
        away = self.folder / _TMP / f"{uuid.uuid4().hex}.gone"
        try:
            place.rename(away)
        except OSError:
            return False
        shutil.rmtree(away, ignore_errors=True)
        return True

    def _sweep(self) -> None:
        """Removes what builds left that were killed on the way."""
        before = time.time() - _STALE_SECONDS
        for path in (self.folder / _TMP).iterdir():
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < before:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _sync(self, handle: int) -> None:
        if self.stays:
            os.fsync(handle)

    def _write(self, path: Path, data: bytes) -> None:
        part = self.folder / _TMP / f"{uuid.uuid4().hex}.file"
        try:
            with part.open("xb") as stream:
                stream.write(data)
                stream.flush()
                self._sync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _state(status: os.stat_result) -> tuple[int, ...]:
    """Returns what tells a file from itself after any change."""
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _machine() -> str:
    """Returns a name of this machine: inodes and devices mean something on one alone."""
    try:
        text = Path("/etc/machine-id").read_text()
    except OSError:
        text = ""
    text += f" {socket.gethostname()} {Path('/').stat().st_dev}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _differs(
    handle: int, status: os.stat_result, entry: _Entry, cancelled: Callable[[], bool]
) -> str:
    """Returns how data differs from what its description says, or ""."""
    size = status.st_size
    if size != entry.length:
        return f"it has {in_bytes(size)}, and had {entry.length:,}"
    if entry.state:
        return "" if _state(status) == entry.state else "its file has changed"
    return "" if _digest(handle, size, cancelled) == entry.sha256 else "its bytes have changed"


def _digest(handle: int, size: int, cancelled: Callable[[], bool]) -> str:
    """Returns SHA-256 of what is not zero, each 64 KiB after its number: holes cost nothing."""
    digest = hashlib.sha256(b"%d\n" % size)
    done = 0
    for start, end in data_ranges(handle, 0, size):
        first = max(start - start % _GRAIN, done)
        done = min(end + -end % _GRAIN, size)
        for at in range(first, done, _CHUNK):
            if cancelled():
                return ""
            piece = memoryview(read_whole(handle, min(_CHUNK, done - at), at))
            for inner in range(0, len(piece), _GRAIN):
                grain = piece[inner : inner + _GRAIN]
                if grain != _ZEROS[: len(grain)]:
                    digest.update(b"%d\n" % ((at + inner) // _GRAIN))
                    digest.update(grain)
    return digest.hexdigest()

"""What an initrd holds: cpio archives one after the other, the last often compressed.

Format: Documentation/driver-api/early-userspace/buffer-format.rst of the kernel's sources.
"""

from __future__ import annotations

import io
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from engine.boot.modules import BUILTIN, name_of
from engine.boot.tree import data
from engine.manifest.compressed import CORRUPT, HEAD, Stream, form_of, unpacked
from engine.manifest.entry import Entry
from engine.manifest.lookup import read
from engine.units import in_bytes

_MAGICS = (b"070701", b"070702")
_HEADER = 110
_SIZE_AT, _NAME_SIZE_AT = 54, 94
_TRAILER = b"TRAILER!!!"
_LONGEST_NAME = 4096
_PIECE = 1 << 16
_LARGEST = 512 << 20
"""Bytes of an initrd, as it is stored, that are looked at."""
_LIST = b"/" + BUILTIN.encode()
_LIST_LIMIT = 1 << 20

_SYSTEMD = "lib/systemd/systemd"
"""Of the program, wherever the tree begins; folders of the name are everywhere."""
_GENERATOR = "systemd-veritysetup-generator"
_PROGRAMS = ("veritysetup", "dmsetup")
_NESTED = ("squash-root.img", "squashfs-root.img", "erofs-root.img")
"""What dracut's module squash leaves: a file system with all the rest in it."""
_MODULE = ".ko"


class Unreadable(Exception):
    """An initrd is not what can be read here: compressed by lz4, or damaged."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the initrds of a kernel hold.

    Attributes:
        paths: Of all their files and folders.
        builtin: Names of what they say is part of the kernel; empty where they do not say.
    """

    paths: frozenset[str]
    builtin: frozenset[str]

    def opens_hash_trees(self) -> bool:
        """Whether they bring what opens a hash tree: systemd its generator, any other a program."""
        names = {posixpath.basename(path) for path in self.paths}
        if any(f"/{path}".endswith(f"/{_SYSTEMD}") for path in self.paths):
            return _GENERATOR in names
        return not names.isdisjoint(_PROGRAMS)

    def lacks(self, modules: Iterable[str]) -> tuple[str, ...]:
        """Returns those modules that are neither there nor, as they say, part of the kernel.

        Args:
            modules: Names as modprobe has them, with underscores.
        """
        if not self.builtin:
            return ()
        there = self.builtin | {name_of(path) for path in self.paths if _MODULE in path}
        return tuple(name for name in modules if name not in there)


def held(initrds: Iterable[Entry]) -> Held | None:
    """Returns what initrds hold; None where that cannot be seen.

    Raises:
        SourceChanged, OSError: One cannot be read from its source.
    """
    paths: set[str] = set()
    builtin: set[str] = set()
    try:
        for initrd in initrds:
            for path, listed in files(read(data(initrd), _LARGEST)):
                paths.add(path.decode(errors="replace"))
                builtin.update(map(name_of, listed.decode(errors="replace").split()))
    except Unreadable:
        return None
    if any(path.endswith(_NESTED) for path in paths):
        return None
    return Held(frozenset(paths), frozenset(builtin))


def files(initrd: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the paths in all archives of an initrd, each with its data if it is modules.builtin.

    Raises:
        Unreadable: It holds something else.
    """
    rest: Stream = io.BytesIO(initrd)
    try:
        while True:
            reader = _Reader(rest)
            head = reader.head()
            if not head:
                return
            if head.startswith(_MAGICS):
                yield from _archive(reader)
                rest = reader
            elif form_of(head):
                rest = unpacked(reader)
            else:
                raise Unreadable("neither a cpio archive nor compressed in a known form")
    except (*CORRUPT, ValueError) as error:
        raise Unreadable(str(error)) from error


def _archive(reader: _Reader) -> Iterator[tuple[bytes, bytes]]:
    while True:
        header = reader.take(_HEADER)
        if not header.startswith(_MAGICS):
            raise Unreadable("a damaged cpio archive")
        size = int(header[_SIZE_AT : _SIZE_AT + 8], 16)
        length = int(header[_NAME_SIZE_AT : _NAME_SIZE_AT + 8], 16)
        if not 0 < length <= _LONGEST_NAME:
            raise Unreadable(f"a name of {in_bytes(length)} in a cpio archive")
        name = reader.take(length).rstrip(b"\0")
        reader.skip(-(_HEADER + length) % 4)
        if name == _TRAILER:
            return
        wanted = size if name.endswith(_LIST) and size <= _LIST_LIMIT else 0
        yield name, reader.take(wanted)
        reader.skip(size - wanted + -size % 4)


class _Reader:
    """A stream that gives as many bytes as it is asked for."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ahead = b""

    def head(self) -> bytes:
        """Returns the next bytes that are not padding, without passing them; none at the end."""
        while len(self._ahead) < HEAD:
            more = self._more(_PIECE)
            if not more:
                break
            self._ahead = (self._ahead + more).lstrip(b"\0")
        return self._ahead[:HEAD]

    def take(self, length: int) -> bytes:
        """Returns the next bytes.

        Raises:
            EOFError: There are fewer.
        """
        while len(self._ahead) < length:
            more = self._more(max(_PIECE, length - len(self._ahead)))
            if not more:
                raise EOFError("a cpio archive ends early")
            self._ahead += more
        taken, self._ahead = self._ahead[:length], self._ahead[length:]
        return taken

    def skip(self, length: int) -> None:
        """Passes bytes."""
        while length:
            length -= len(self.take(min(length, _PIECE)))

    def readinto(self, buffer: memoryview, /) -> int:
        given = self._ahead[: len(buffer)] or self._more(len(buffer))
        self._ahead = self._ahead[len(given) :]
        buffer[: len(given)] = given
        return len(given)

    def close(self) -> None:
        self._stream.close()

    def _more(self, length: int) -> bytes:
        buffer = bytearray(length)
        return bytes(buffer[: self._stream.readinto(memoryview(buffer)) or 0])

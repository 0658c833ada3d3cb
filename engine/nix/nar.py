"""Adds a tree to a store without a store: its archive's hash, and the path that follows from it.

Formats: the Nix manual, "Nix Archive (NAR) Format" and "Store Path Specification".
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.manifest.entry import Entry
from engine.manifest.lookup import stream
from engine.nix.closure import STORE, StorePath

_BASE32 = "0123456789abcdfghijklmnpqrsvwxyz"
_PATH_HASH_BYTES = 20


@dataclass(slots=True)
class _Sink:
    """Counts and hashes an archive."""

    digest: Callable[[bytes], None]
    size: int = 0

    def raw(self, data: bytes | memoryview) -> None:
        self.digest(bytes(data))
        self.size += len(data)

    def text(self, *words: bytes) -> None:
        for word in words:
            self.raw(len(word).to_bytes(8, "little") + word + _padding(len(word)))


def _padding(size: int) -> bytes:
    return bytes(-size % 8)


def add(entries: Sequence[Entry], name: str) -> StorePath:
    """Returns the store path that a tree has as a content-addressed source.

    Args:
        entries: The tree in manifest order, its top first; hard links are files of their own.
        name: Its name in the store.

    Raises:
        SourceChanged, OSError: A file cannot be read.
    """
    hashed = hashlib.sha256()
    sink = _Sink(hashed.update)
    children: dict[bytes, list[Entry]] = {}
    for entry in entries[1:]:
        children.setdefault(entry.parent, []).append(entry)
    # Read in the order of the archive, folder after folder as the sources like it.
    data = _Reader(entries)
    sink.text(b"nix-archive-1")
    _node(entries[0], children, data, sink)
    digest = hashed.digest()
    fingerprint = f"source:sha256:{digest.hex()}:{STORE}:{name}"
    folded = _fold(hashlib.sha256(fingerprint.encode()).digest(), _PATH_HASH_BYTES)
    return StorePath(
        path=f"{STORE}/{base32(folded)}-{name}", nar_hash=digest.hex(), nar_size=sink.size,
        references=(), ca=f"fixed:r:sha256:{base32(digest)}",
    )  # fmt: skip


def _node(
    entry: Entry, children: Mapping[bytes, Sequence[Entry]], data: _Reader, sink: _Sink
) -> None:
    sink.text(b"(", b"type")
    if entry.is_symlink:
        sink.text(b"symlink", b"target", entry.target)
    elif entry.is_directory:
        sink.text(b"directory")
        for child in sorted(children.get(entry.path, ()), key=lambda child: child.name):
            sink.text(b"entry", b"(", b"name", child.name, b"node")
            _node(child, children, data, sink)
            sink.text(b")")
    else:
        sink.text(b"regular")
        if entry.mode & 0o100:
            sink.text(b"executable", b"")
        sink.text(b"contents")
        size = (entry.link_to or entry).size
        sink.raw(size.to_bytes(8, "little"))
        for piece in data.read(entry.link_to or entry):
            sink.raw(piece)
        sink.raw(_padding(size))
    sink.text(b")")


class _Reader:
    """Reads files one after the other from one stream over all of them, in manifest order."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._pieces = stream(entries)
        self._next: tuple[Entry, int, memoryview] | None = next(self._pieces, None)

    def read(self, entry: Entry) -> Iterator[bytes | memoryview]:
        """Yields a file from its first byte to its last, holes as zeros."""
        at = 0
        while self._next is not None and self._next[0] is entry:
            _, offset, piece = self._next
            if offset > at:
                yield bytes(offset - at)
            yield piece
            at = offset + len(piece)
            self._next = next(self._pieces, None)
        if at < entry.size:
            yield bytes(entry.size - at)


def _fold(digest: bytes, size: int) -> bytes:
    """Shortens a digest by exclusive or, as the hash part of store paths is."""
    folded = bytearray(size)
    for at, byte in enumerate(digest):
        folded[at % size] ^= byte
    return bytes(folded)


def base32(data: bytes) -> str:
    """Returns bytes in Nix's base 32: digits from the end, and an alphabet without e, o, t, u."""
    number = int.from_bytes(data, "little")
    digits = -(-len(data) * 8 // 5)
    return "".join(_BASE32[number >> (5 * at) & 31] for at in reversed(range(digits)))

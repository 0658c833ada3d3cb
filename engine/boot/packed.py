"""Kernels that are packed as a whole, as arm64 has them: told, and unpacked for a loader.

EFI programs cannot be started from a packed file, and no loader of UEFI unpacks one. The forms
are those of the kernel's own build (arch/arm64/boot/Makefile: Image.gz, Image.zst and so on).
"""

from __future__ import annotations

import bz2
import lzma
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import zstandard

from engine.boot.architecture import Architecture, of_kernel
from engine.manifest.entry import Entry, SourceChanged
from engine.units import in_bytes

IDENTIFY_BYTES = 1 << 20
"""What `identify` needs of a kernel; one block of bzip2 is 900,000 bytes."""

_PIECE = 1 << 20
_LARGEST = 1 << 30
"""No kernel is larger; what unpacks to more is none."""


class BadKernel(Exception):
    """A packed kernel cannot be unpacked; the message names it and says why."""


class _Unpacker(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yields what some more bytes unpack to."""
        ...

    @property
    def done(self) -> bool:
        """Whether the packed stream has ended; what follows it is not part of it."""
        ...


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while not self._inner.eof:
            piece = self._inner.decompress(data, _PIECE)
            yield piece
            data = self._inner.unconsumed_tail
            if not data and len(piece) < _PIECE:
                return

    @property
    def done(self) -> bool:
        return self._inner.eof


class _Standard:
    """bz2 and lzma, whose decompressors share a form."""

    def __init__(self, inner: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._inner = inner

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._inner.decompress(data, _PIECE)
        while not self._inner.eof and not self._inner.needs_input:
            yield self._inner.decompress(b"", _PIECE)

    @property
    def done(self) -> bool:
        return self._inner.eof


class _Zstd:
    # Small pieces: a block of few bytes may stand for 128 KiB of one value.
    _AT_ONCE = 4096

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor().decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        for at in range(0, len(data), self._AT_ONCE):
            if self._inner.eof:
                return
            yield self._inner.decompress(data[at : at + self._AT_ONCE])

    @property
    def done(self) -> bool:
        return self._inner.eof


_FORMS: tuple[tuple[bytes, str, Callable[[], _Unpacker] | None], ...] = (
    (b"\x1f\x8b", "gzip", _Gzip),
    (b"\x28\xb5\x2f\xfd", "zstd", _Zstd),
    (b"\xfd7zXZ\0", "xz", lambda: _Standard(lzma.LZMADecompressor())),
    (b"\x5d\0\0", "lzma", lambda: _Standard(lzma.LZMADecompressor())),
    (b"BZh", "bzip2", lambda: _Standard(bz2.BZ2Decompressor())),
    (b"\x02\x21\x4c\x18", "lz4", None),
    (b"\x04\x22\x4d\x18", "lz4", None),
    (b"\x89LZO\0", "lzo", None),
)
_CORRUPT = (zlib.error, lzma.LZMAError, OSError, EOFError, zstandard.ZstdError)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kernel's first bytes tell.

    Attributes:
        architecture: None for what no loader can start.
        packing: How it is packed ("gzip"), or "".
        head: Its first bytes, unpacked as far as it could be.
    """

    architecture: Architecture | None
    packing: str
    head: bytes


UNKNOWN = Kind(None, "", b"")
"""What was not looked at."""


def identify(head: bytes) -> Kind:
    """Returns what a file is, by its first `IDENTIFY_BYTES`."""
    packing, unpacker = _form(head)
    if unpacker is None:
        return Kind(of_kernel(head), packing, head)
    inside = bytearray()
    try:
        for piece in unpacker.feed(head):
            inside += piece
            if len(inside) >= _PIECE:
                break
    except _CORRUPT:
        pass  # what came before may tell enough; the rest is looked at when it is unpacked
    return Kind(of_kernel(bytes(inside)), packing, bytes(inside))


def described(kind: Kind) -> tuple[str, str]:
    """Returns what something is that no loader can start, and what to do about it."""
    inside = f"packed with {kind.packing} and holds " if kind.packing else ""
    for magic, name, hint in _STRANGERS:
        if kind.head.startswith(magic):
            return f"is {inside}{name}", hint
    if any(name == kind.packing and make is None for _, name, make in _FORMS):
        return f"is packed with {kind.packing}, which is not unpacked here", "unpack it"
    if not kind.head:
        return "is empty", "replace it"
    return (
        f"{'is packed with ' + kind.packing + ', and what is in it ' if kind.packing else ''}"
        "has neither the header of an x86-64 bzImage nor that of an arm64 Image",
        _WANTED,
    )


_WANTED = "give a bootable image: bzImage (vmlinuz) of x86-64, Image or vmlinuz.efi of arm64"
_STRANGERS = (
    (b"\x7fELF", "an ELF file", "give the bootable image (vmlinuz), not the ELF file vmlinux"),
    (b"\x27\x05\x19\x56", "an image for U-Boot", "give the kernel that it was made of"),
    (b"\xd0\x0d\xfe\xed", "a FIT image for U-Boot", "give the kernel that it was made of"),
    (b"ANDROID!", "a boot image of Android", "give the kernel that it was made of"),
)


def _form(head: bytes) -> tuple[str, _Unpacker | None]:
    for magic, name, make in _FORMS:
        if head.startswith(magic):
            return name, make() if make is not None else None
    return "", None


def unpacked(path: bytes, entry: Entry) -> Entry:
    """Returns a file with what a packed kernel unpacks to; it is read through once to measure it.

    Args:
        path: Of the new file.
        entry: The packed kernel, which holds the data.

    Raises:
        BadKernel: It is damaged, or no kernel is so large.
        SourceChanged, OSError: It cannot be read.
    """
    size = 0
    for piece in _pieces(entry):
        size += len(piece)
        if size > _LARGEST:
            raise BadKernel(f"{_named(entry)} unpacks to more than {in_bytes(_LARGEST)}")
    return Entry(
        path, stat.S_IFREG | 0o644, mtime_ns=entry.mtime_ns, size=size,
        source=_UNPACKED, stamp=entry,
    )  # fmt: skip


class _Unpacked:
    """A source whose entries carry a packed file as stamp."""

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        for entry in entries:
            original, at = _original(entry), 0
            try:
                for piece in _pieces(original):
                    yield entry, at, memoryview(piece)
                    at += len(piece)
            except BadKernel as error:
                raise SourceChanged(str(error)) from error
            if at != entry.size:
                raise SourceChanged(
                    f"{_named(original)} unpacks to {in_bytes(at)}, not {entry.size:,}"
                )

    def describe(self, entry: Entry) -> str:
        """Returns the origin of the packed file."""
        original = _original(entry)
        return original.source.describe(original) if original.source is not None else ""


_UNPACKED = _Unpacked()


def _original(entry: Entry) -> Entry:
    assert isinstance(entry.stamp, Entry)
    return entry.stamp


def _pieces(entry: Entry) -> Iterator[bytes]:
    """Yields what a packed file unpacks to, up to the end of its first stream."""
    unpacker: _Unpacker | None = None
    for data in _read(entry):
        if unpacker is None:
            unpacker = _form(data)[1]
            if unpacker is None:
                raise BadKernel(f"{_named(entry)} is not packed")
        pieces = unpacker.feed(data)
        while True:
            try:
                piece = next(pieces, None)
            except _CORRUPT as error:
                raise BadKernel(f"{_named(entry)} cannot be unpacked: {error}") from error
            if piece is None:
                break
            if piece:
                yield piece
        if unpacker.done:
            return
    raise BadKernel(f"{_named(entry)} cannot be unpacked: it ends in the middle")


def _read(entry: Entry) -> Iterator[bytes]:
    """Yields the bytes of a file in order, its holes as zeros."""
    at = 0
    if entry.source is None:
        return
    for _, offset, piece in entry.source.stream([entry]):
        while at < offset:
            hole = min(offset - at, _PIECE)
            yield bytes(hole)
            at += hole
        yield bytes(piece)
        at += len(piece)


def _named(entry: Entry) -> str:
    return f"/{entry.path.decode(errors='backslashreplace')}"

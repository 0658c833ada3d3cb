"""Unpacks streams that are compressed, in bounded memory, front to back.

Streams as the world makes them: several members or frames one after the other (pigz, pzstd,
`cat`), skippable frames of zstd, padding and foreign bytes behind the last one, which every
unpacker ignores. What ends early or does not fit its own checksum is an error.
"""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import zstandard

CORRUPT = (EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError)
"""What unpacking raises for bytes that are not what they should be."""

HEAD = 8
"""Bytes at the beginning that tell the form."""

_READ = 1 << 16
_PIECE = 1 << 16
"""Bytes unpacked at once at least: a header of 512 bytes is not worth a call of its own."""
_ZSTD_FEED = 1 << 12
_ZSTD_WARY = 1 << 6
_ZSTD_MUCH = 1 << 20
"""Bytes given to zstd at once, and where the last ones became much: its output has no limit, and
four bytes can become 128 KiB (RFC 8878, 3.1.1.2, RLE blocks)."""
_ZSTD_WINDOW = 1 << 31
"""Largest window that `zstd --long` makes."""
_GZIP_WINDOW = 31
"""zlib's windowBits for a stream with gzip's header and checksum."""

_GZIP, _XZ, _BZIP2, _LZMA = b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh", b"\x5d\0\0"
_ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1

OTHERS = (
    (b"\x04\x22\x4d\x18", "compressed with lz4", "lz4 -d"),
    (b"\x02\x21\x4c\x18", "compressed with lz4", "lz4 -d"),
    (b"LZIP", "compressed with lzip", "lzip -d"),
    (b"\x89LZO\0", "compressed with lzop", "lzop -d"),
    (b"\x1f\x9d", "compressed with compress", "gzip -d"),
)
"""Forms that are known by their first bytes and not read: what each is, and what unpacks it."""


class Stream(Protocol):
    """A stream that is read once, front to back."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills a buffer as far as it can; 0 at the end."""
        ...

    def close(self) -> None:
        """Ends reading, wherever it stands."""
        ...


class _Decoder(Protocol):
    """Unpacks one member; the shape of Python's own decompressors for xz and bzip2."""

    @property
    def eof(self) -> bool:
        """Whether the member is complete."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether nothing more comes without more input."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows the member."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Takes input, returns output."""
        ...


class _Gzip:
    """One member of gzip."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP_WINDOW)

    @property
    def eof(self) -> bool:
        return self._member.eof

    @property
    def needs_input(self) -> bool:
        return not self._member.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._member.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._member.decompress(self._member.unconsumed_tail + data, max_length)


class _Zstd:
    """One frame of zstd, which may be one to skip."""

    def __init__(self) -> None:
        context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
        self._frame = context.decompressobj()
        self._input = memoryview(b"")
        self._feed = _ZSTD_FEED

    @property
    def eof(self) -> bool:
        return self._frame.eof

    @property
    def needs_input(self) -> bool:
        return not self._input

    @property
    def unused_data(self) -> bytes:
        return self._frame.unused_data + bytes(self._input)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Takes a little of the input at a time, as the output of it cannot be limited."""
        del max_length
        if data:  # only where nothing is left of what came before
            self._input = memoryview(data)
        piece, self._input = self._input[: self._feed], self._input[self._feed :]
        made = self._frame.decompress(piece)
        self._feed = _ZSTD_WARY if len(made) > _ZSTD_MUCH else _ZSTD_FEED
        return made


def _is_zstd(head: bytes) -> bool:
    return head.startswith(_ZSTD) or _is_skippable(head)


def _is_skippable(head: bytes) -> bool:
    """Whether a frame of no content begins here (RFC 8878, section 3.1.2)."""
    return head[1:4] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F


@dataclass(frozen=True, slots=True)
class _Form:
    name: str
    begins: Callable[[bytes], bool]
    decoder: Callable[[], _Decoder]


_FORMS = (
    _Form("gzip", lambda head: head.startswith(_GZIP), _Gzip),
    _Form("zstd", _is_zstd, _Zstd),
    _Form("xz", lambda head: head.startswith(_XZ), lzma.LZMADecompressor),
    _Form("bzip2", lambda head: head.startswith(_BZIP2), bz2.BZ2Decompressor),
    _Form("lzma", lambda head: head.startswith(_LZMA), lzma.LZMADecompressor),
)


def form_of(head: bytes) -> str:
    """Returns the compressed form that bytes begin in (gzip, zstd, xz, bzip2, lzma), or ""."""
    return next((form.name for form in _FORMS if form.begins(head)), "")


def unpacked(stream: Stream) -> Stream:
    """Returns the unpacked content of a stream, which it takes over.

    The form is known by the first bytes; one that is not compressed is passed on as it is.

    Raises:
        OSError: It cannot be read.
        EOFError, zlib.error, lzma.LZMAError, zstandard.ZstdError: The stream is damaged.
    """
    peeked = _Peeked(stream)
    head = peeked.peek(HEAD)
    for form in _FORMS:
        if form.begins(head):
            return _Unpacked(peeked, form)
    return peeked


class _Peeked:
    """A stream whose first bytes can be looked at."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._ahead = b""

    def peek(self, length: int) -> bytes:
        """Returns the next bytes without passing them, fewer only at the end."""
        while len(self._ahead) < length:
            more = self._more(_READ)
            if not more:
                break
            self._ahead += more
        return self._ahead[:length]

    def take(self) -> bytes:
        """Returns the next bytes, as many as come at once; none at the end."""
        if self._ahead:
            data, self._ahead = self._ahead, b""
            return data
        return self._more(_READ)

    def give_back(self, data: bytes) -> None:
        """Puts bytes back in front of what comes."""
        self._ahead = data + self._ahead

    def readinto(self, buffer: memoryview, /) -> int | None:
        if not self._ahead:
            return self._stream.readinto(buffer)
        size = min(len(buffer), len(self._ahead))
        buffer[:size] = self._ahead[:size]
        self._ahead = self._ahead[size:]
        return size

    def close(self) -> None:
        self._stream.close()

    def _more(self, length: int) -> bytes:
        buffer = bytearray(length)
        return bytes(buffer[: self._stream.readinto(memoryview(buffer)) or 0])


class _Unpacked:
    """The content of all members of a compressed stream, one after the other."""

    def __init__(self, packed: _Peeked, form: _Form) -> None:
        self._packed = packed
        self._form = form
        self._decoder: _Decoder | None = form.decoder()
        self._any = not _is_skippable(packed.peek(HEAD))
        self._ready = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        while not self._ready:
            if self._decoder is None:
                return 0
            self._ready = memoryview(self._next(self._decoder, max(len(buffer), _PIECE)))
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def close(self) -> None:
        self._packed.close()

    def _next(self, decoder: _Decoder, limit: int) -> bytes:
        """Returns the next bytes of a member; none where it ends, or where more input is due."""
        if decoder.eof:
            self._decoder = self._following(decoder.unused_data)
            return b""
        data = self._packed.take() if decoder.needs_input else b""
        if not data and decoder.needs_input:
            raise EOFError(f"it ends in the middle of its {self._form.name} data")
        try:
            return decoder.decompress(data, limit)
        except OSError as error:  # bzip2's way of saying so
            raise EOFError(str(error)) from error

    def _following(self, rest: bytes) -> _Decoder | None:
        """Returns what unpacks the next member, or None where none follows."""
        self._packed.give_back(rest)
        while (head := self._packed.peek(HEAD))[:1] == b"\0":
            self._packed.give_back(self._packed.take().lstrip(b"\0"))
        if self._form.begins(head):
            self._any = self._any or not _is_skippable(head)
            return self._form.decoder()
        if not self._any:
            raise EOFError(f"there is no {self._form.name} data in it")
        return None


class Descriptor:
    """The bytes of an open file from where it stands; closes it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def readinto(self, buffer: memoryview, /) -> int:
        """Fills a buffer as far as the file gives at once; 0 at the end."""
        return os.readv(self.fd, (buffer,))

    def close(self) -> None:
        os.close(self.fd)

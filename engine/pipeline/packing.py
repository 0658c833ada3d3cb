"""One pass over a file: its digests, its block map and its compressed copy together."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import zstandard

from engine.image.whole import zeros
from engine.pipeline.gzipped import Gzip
from engine.pipeline.taking import Sum, take_all
from engine.provenance.fsverity import FsVerity
from engine.tools.failure import StepFailed
from engine.tools.processors import processors
from engine.units import in_bytes

_UNPACKED_AT_ONCE = 1 << 12
"""Bytes of a compressed image; zeros unpack to some thousand times as much."""
_ZSTD_LEVEL = 3
_ZSTD_MOST = 4
"""Threads that compress at once: each has some 30 MB."""
_XZ_PRESET = 6


DIGESTS: Mapping[str, type[Sum | FsVerity]] = MappingProxyType(
    {"sha256": Sum, "fsverity": FsVerity}
)
"""What computes a digest, by the name that `output.sums` has for it."""


def digests(
    path: Path,
    kinds: Iterable[str],
    report: Callable[[int, int], None],
    cancelled: Callable[[], bool],
) -> dict[str, str]:
    """Returns digests of a file by algorithm, in hexadecimal; its holes are not read."""
    takers = {kind: DIGESTS[kind]() for kind in kinds}
    if takers:
        take_all(path, takers.values(), report, cancelled)
    return {kind: taker.digest() for kind, taker in takers.items()}


class _Stream(Protocol):
    def compress(self, data: bytes | memoryview, /) -> bytes: ...

    def flush(self) -> bytes: ...


class Compressor:
    """Writes what it takes compressed, by fixed rules: always the same bytes.

    Args:
        path: The new file.
        kind: "zst", "xz" or "gz".
        size: Bytes that will come.
    """

    def __init__(self, path: Path, kind: str, size: int) -> None:
        self._file = path.open("xb")
        self._gzip = Gzip() if kind == "gz" else None
        self._stream: _Stream = self._gzip or (
            _zstd(size)
            if kind == "zst"
            else lzma.LZMACompressor(check=lzma.CHECK_CRC64, preset=_XZ_PRESET)
        )

    def data(self, piece: memoryview) -> None:
        """Takes the next bytes."""
        self._file.write(self._stream.compress(piece))

    def hole(self, length: int) -> None:
        """Takes that many zeros."""
        for piece in zeros(length):
            self._file.write(self._stream.compress(piece))

    def finish(self) -> None:
        """Writes what is left."""
        self._file.write(self._stream.flush())
        self.close()

    def close(self) -> None:
        """Ends it wherever it is."""
        if self._gzip is not None:
            self._gzip.close()
        self._file.close()


def _zstd(size: int) -> _Stream:
    """Returns a compressor that works in threads, even if in one.

    The bytes do not depend on how many there are, but on whether there are any.
    """
    threads = min(processors(), _ZSTD_MOST)
    compressor = zstandard.ZstdCompressor(
        level=_ZSTD_LEVEL, write_checksum=True, threads=threads
    )  # fmt: skip
    return compressor.compressobj(size=size)


def verify_packed(path: Path, kind: str, size: int, cancelled: Callable[[], bool]) -> None:
    """Unpacks a compressed image again; all formats carry a checksum of their contents.

    Raises:
        StepFailed: It does not unpack, or to another size.
    """
    unpacker = _unpacker(kind)
    total = 0
    try:
        with path.open("rb") as reader:
            while not cancelled() and (packed := reader.read(_UNPACKED_AT_ONCE)):
                total += len(unpacker.decompress(packed))
    except (zstandard.ZstdError, lzma.LZMAError, zlib.error, EOFError) as error:
        raise StepFailed(f"the compressed image does not unpack: {error}") from error
    if cancelled():
        return
    if not unpacker.eof:
        raise StepFailed("the compressed image does not unpack: it ends early")
    if total != size:
        raise StepFailed(f"the compressed image unpacks to {in_bytes(total)}, not {size:,}")


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _unpacker(kind: str) -> _Unpacker:
    if kind == "zst":
        return zstandard.ZstdDecompressor().decompressobj()
    if kind == "gz":
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    return lzma.LZMADecompressor(lzma.FORMAT_XZ)

"""Opens a file that may be compressed, as a stream of what is in it."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import subprocess
import zlib
from typing import Protocol

from engine.tools.environment import tool_environment

CORRUPT = (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What decompressors raise for bytes that are not what they should be."""

_GZIP, _XZ, _BZIP2 = b"\x1f\x8b", b"\xfd7zXZ\0", b"BZh"
_ZSTD = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1
_BUFFER = 1 << 20


class ToolMissing(Exception):
    """The program that unpacks this form is not installed; the message names it."""


class Stream(Protocol):
    """A stream that is read once, front to back."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fills a buffer as far as it can; 0 at the end."""
        ...

    def close(self) -> None:
        """Ends reading, wherever it stands."""
        ...


class _Zstd:
    """The output of `zstd -dc`; Python's own library has no zstd before 3.14."""

    def __init__(self, file: io.BufferedReader[io.FileIO]) -> None:
        try:
            self._process = subprocess.Popen(
                ["zstd", "--decompress", "--stdout", "--quiet"],
                stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=_BUFFER,
                env=tool_environment(),
            )  # fmt: skip
        except FileNotFoundError as error:
            raise ToolMissing("zstd") from error
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        out = self._process.stdout
        assert out is not None
        assert isinstance(out, io.BufferedReader)
        got = out.readinto(buffer)
        if got == 0 and len(buffer) and self._process.wait() != 0:
            assert self._process.stderr is not None
            said = self._process.stderr.read(4096).decode(errors="replace").strip()
            raise EOFError(said or f"zstd exited with {self._process.returncode}")
        return got

    def close(self) -> None:
        """Ends the program, which may not have come to the end."""
        self._process.kill()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._process.wait()
        self._file.close()


class _Owning:
    """A decompressor that closes the file beneath it too."""

    def __init__(self, unpacked: io.BufferedIOBase, file: io.BufferedReader[io.FileIO]) -> None:
        self._unpacked = unpacked
        self._file = file

    def readinto(self, buffer: memoryview, /) -> int:
        return self._unpacked.readinto(buffer)

    def close(self) -> None:
        """Closes both."""
        self._unpacked.close()
        self._file.close()


def is_compressed(fd: int) -> bool:
    """Whether an open file is in one of the known compressed forms."""
    return os.pread(fd, 6, 0).startswith((_GZIP, _XZ, _BZIP2, _ZSTD))


def unpacked(fd: int) -> Stream:
    """Returns the unpacked content of an open file; takes over the descriptor.

    Known by their first bytes: gzip, xz, bzip2 and zstd; anything else is taken as it is.

    Raises:
        ToolMissing: zstd is needed and not installed.
    """
    file = io.BufferedReader(io.FileIO(fd), _BUFFER)
    magic = os.pread(fd, 6, 0)
    if magic.startswith(_ZSTD):
        try:
            return _Zstd(file)
        except ToolMissing:
            file.close()
            raise
    if magic.startswith(_GZIP):
        return _Owning(io.BufferedReader(gzip.GzipFile(fileobj=file), _BUFFER), file)
    if magic.startswith(_XZ):
        return _Owning(lzma.LZMAFile(file), file)
    if magic.startswith(_BZIP2):
        return _Owning(bz2.BZ2File(file), file)
    return file

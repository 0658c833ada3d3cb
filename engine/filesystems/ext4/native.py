"""libext2fs, called in process: bitmaps, group descriptors and checksums.

Only the bookkeeping goes through the library. Inodes, directories and data are laid out by the
writer itself, which is what makes filling a file system fast: one call marks thousands of blocks.

Source: the header ext2fs/ext2fs.h of e2fsprogs 1.47 (stable ABI of libext2fs.so.2).
"""

from __future__ import annotations

import ctypes
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from ctypes import POINTER, byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p
from functools import cache
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import Self

_READ_WRITE = 0x01
_WIDE_BITMAPS = 0x20000
_NO_SYNC = 1

Range = tuple[int, int]
"""First number and count, of blocks or of inodes."""


class LibraryError(Exception):
    """libext2fs is missing or refused; the message is a sentence."""


class _Handle(ctypes.Structure):
    """The leading members of `struct struct_ext2_filsys`."""

    _fields_ = (
        ("magic", c_long),
        ("io", c_void_p),
        ("flags", c_int),
        ("device_name", c_char_p),
        ("super", c_void_p),
        ("blocksize", c_uint),
        ("fragsize", c_int),
        ("group_desc_count", c_uint),
        ("desc_blocks", c_ulong),
        ("group_desc", c_void_p),
        ("inode_blocks_per_group", c_uint),
        ("inode_map", c_void_p),
        ("block_map", c_void_p),
    )


_HANDLE = POINTER(_Handle)

# Name, result, arguments. Declared once, as a wrong width would corrupt silently.
_QUICK: tuple[tuple[str, object, tuple[object, ...]], ...] = (
    ("ext2fs_crc32c_le", ctypes.c_uint32, (ctypes.c_uint32, c_void_p, ctypes.c_size_t)),
    (
        "ext2fs_dirhash2",
        c_long,
        (c_int, c_char_p, c_int, c_void_p, c_int, c_char_p, c_void_p, c_void_p),
    ),
    ("ext2fs_inode_alloc_stats2", None, (_HANDLE, ctypes.c_uint32, c_int, c_int)),
    (
        "ext2fs_block_alloc_stats_range",
        None,
        (_HANDLE, ctypes.c_uint64, ctypes.c_uint32, c_int),
    ),
    ("ext2fs_inode_table_loc", ctypes.c_uint64, (_HANDLE, ctypes.c_uint32)),
    ("ext2fs_bg_has_super", c_int, (_HANDLE, ctypes.c_uint32)),
    ("ext2fs_group_first_block2", ctypes.c_uint64, (_HANDLE, ctypes.c_uint32)),
    *(
        (
            f"ext2fs_find_first_{value}_{kind}_bitmap2",
            c_long,
            (c_void_p, number, number, POINTER(number)),
        )
        for kind, number in (("block", ctypes.c_uint64), ("inode", ctypes.c_uint32))
        for value in ("zero", "set")
    ),
)
_SLOW: tuple[tuple[str, object, tuple[object, ...]], ...] = (
    (
        "ext2fs_open2",
        c_long,
        (c_char_p, c_char_p, c_int, c_int, c_uint, c_void_p, POINTER(_HANDLE)),
    ),
    ("ext2fs_read_bitmaps", c_long, (_HANDLE,)),
    ("ext2fs_close2", c_long, (_HANDLE, c_int)),
    ("ext2fs_free", None, (_HANDLE,)),
    ("ext2fs_get_library_version", c_int, (POINTER(c_char_p), POINTER(c_char_p))),
)


class _Library:
    """The two libraries, loaded.

    Attributes:
        quick: Functions that take microseconds, called without releasing the interpreter lock.
        slow: Functions that read or write the image, called with the lock released.
    """

    def __init__(self) -> None:
        try:
            self.quick = ctypes.PyDLL("libext2fs.so.2")
            self.slow = ctypes.CDLL("libext2fs.so.2")
            self._errors = ctypes.CDLL("libcom_err.so.2")
        except OSError as error:
            raise LibraryError(
                f"{error}; it belongs to e2fsprogs (Debian: libext2fs2, Fedora: e2fsprogs-libs, "
                "Arch and Nix: e2fsprogs)"
            ) from error
        self._errors.error_message.restype = c_char_p
        self._errors.error_message.argtypes = (c_long,)
        for library, table in ((self.quick, _QUICK), (self.slow, _SLOW)):
            for name, result, arguments in table:
                function = getattr(library, name)
                function.restype = result
                function.argtypes = arguments
        self.slow.initialize_ext2_error_table()
        self.unix_io = c_void_p.in_dll(self.slow, "unix_io_manager")

    def check(self, code: int, what: str) -> None:
        """Raises the library's own message for a result other than 0."""
        if code:
            reason = self._errors.error_message(code).decode(errors="replace")
            raise LibraryError(f"{what}: {reason}")


@cache
def _library() -> _Library:
    return _Library()


def crc32c(seed: int, data: bytes | bytearray) -> int:
    """Returns the CRC-32C of data, as ext4 uses it (no final inversion)."""
    buffer = data if isinstance(data, bytes) else (ctypes.c_char * len(data)).from_buffer(data)
    return int(_library().quick.ext2fs_crc32c_le(seed, buffer, len(data)))


def checksum_of(seed: int, buffer: bytearray) -> Callable[[], int]:
    """Returns a function that gives the CRC-32C of what a buffer then holds."""
    function = _library().quick.ext2fs_crc32c_le
    fixed = (ctypes.c_char * len(buffer)).from_buffer(buffer)
    arguments = ctypes.c_uint32(seed), fixed, ctypes.c_size_t(len(buffer))
    return lambda: int(function(*arguments))


def library_version() -> str:
    """Returns the version of libext2fs, such as "1.47.0"; "" where it is missing."""
    version = c_char_p()
    try:
        _library().slow.ext2fs_get_library_version(byref(version), None)
    except LibraryError:
        return ""
    return (version.value or b"").decode(errors="replace")


def name_hash(version: int, seed: bytes) -> Callable[[bytes], int]:
    """Returns the hash function of a file system's directory indexes.

    Args:
        version: `s_def_hash_version`, plus 3 where the superblock says that characters are
            unsigned.
        seed: `s_hash_seed`.
    """
    function = _library().quick.ext2fs_dirhash2
    major = ctypes.c_uint32()
    where = ctypes.addressof(major)

    def hash_of(name: bytes) -> int:
        if function(version, name, len(name), None, 0, seed, where, None):
            raise LibraryError(f"unknown directory hash version {version}")
        return major.value

    return hash_of


class Bookkeeping:
    """An open file system, as a context: leaving it writes bitmaps, descriptors and superblocks.

    Left through an exception, nothing is written.
    """

    def __init__(self, image: Path, offset: int) -> None:
        """Opens the file system at byte `offset` of an image.

        Raises:
            LibraryError: The library is missing, or there is no sound file system there.
        """
        self._image = image
        self._native = _library()
        self._handle = _HANDLE()
        self._mark_inode = self._native.quick.ext2fs_inode_alloc_stats2
        code = self._native.slow.ext2fs_open2(
            os.fsencode(image),
            f"offset={offset}".encode(),
            _READ_WRITE | _WIDE_BITMAPS,
            0,
            0,
            self._native.unix_io,
            byref(self._handle),
        )
        self._native.check(code, f"{image}: opening the file system at byte {offset}")

    def __enter__(self) -> Self:
        code = self._native.slow.ext2fs_read_bitmaps(self._handle)
        self._native.check(code, f"{self._image}: reading the bitmaps")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._native.slow.ext2fs_free(self._handle)
            return
        code = self._native.slow.ext2fs_close2(self._handle, _NO_SYNC)
        self._native.check(code, f"{self._image}: writing the bitmaps")

    @property
    def groups(self) -> int:
        """The number of block groups."""
        return int(self._handle.contents.group_desc_count)

    def free_blocks(self, first: int, end: int) -> Iterator[Range]:
        """Yields the runs of free blocks within [first, end)."""
        return self._free("block", self._handle.contents.block_map, first, end)

    def free_inodes(self, end: int) -> Iterator[Range]:
        """Yields the runs of free inodes with numbers from 1 to `end` - 1."""
        return self._free("inode", self._handle.contents.inode_map, 1, end)

    def _free(self, kind: str, bitmap: int, first: int, end: int) -> Iterator[Range]:
        quick = self._native.quick
        zero = getattr(quick, f"ext2fs_find_first_zero_{kind}_bitmap2")
        used = getattr(quick, f"ext2fs_find_first_set_{kind}_bitmap2")
        found = zero.argtypes[1]()
        while first < end and not zero(bitmap, first, end - 1, byref(found)):
            start = found.value
            first = end if used(bitmap, start, end - 1, byref(found)) else found.value
            yield start, first - start

    def use_blocks(self, first: int, count: int) -> None:
        """Marks a run of blocks as used, in the bitmap and in every count."""
        self._native.quick.ext2fs_block_alloc_stats_range(self._handle, first, count, 1)

    def use_inodes(self, numbers: Iterable[int], *, directories: bool) -> None:
        """Marks inodes as used, in the bitmap and in every count."""
        calls = map(self._mark_inode, repeat(self._handle), numbers, repeat(1), repeat(directories))
        deque(calls, maxlen=0)  # a call each, and no step of the interpreter between

    def inode_table(self, group: int) -> int:
        """Returns the first block of a group's inode table."""
        return int(self._native.quick.ext2fs_inode_table_loc(self._handle, group))

    def superblocks(self) -> Iterator[int]:
        """Yields the first block of each group that has a copy of the superblock."""
        quick = self._native.quick
        for group in range(self.groups):
            if quick.ext2fs_bg_has_super(self._handle, group):
                yield int(quick.ext2fs_group_first_block2(self._handle, group))

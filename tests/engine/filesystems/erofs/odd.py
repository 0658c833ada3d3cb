"""A small tree of all that is hard to keep."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator, Sequence

from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from tests.engine.filesystems.ext4 import contents

GIB = 1 << 30
_SECOND = 10**9


def odd() -> Manifest:
    """Returns the tree; its bytes come from `LETTERS`."""
    regular = stat.S_IFREG
    access = contents.acl([(1000, 7), (4_294_967_294, 4)])
    capability = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)

    def file(path: bytes, size: int = 0, mode: int = 0o644, **more: object) -> Entry:
        return Entry(path, regular | mode, size=size, source=LETTERS, **more)  # type: ignore[arg-type]

    first = file(b"first name", 9000, uid=4_294_967_294, gid=100_000)
    entries = [
        Entry(b"", stat.S_IFDIR | 0o750, uid=7, gid=8, mtime_ns=1_234_567_890_123_456_789),
        Entry(b"acl", stat.S_IFDIR | 0o755, xattrs=(
            (b"system.posix_acl_access", access), (b"system.posix_acl_default", access),
        )),
        file(b"capable", 10, xattrs=((b"security.capability", capability),)),
        file(b"setuid", 10, 0o4755),
        file(b"attributes", 5000, xattrs=(
            (b"trusted.overlay.opaque", b"y"), (b"user.empty", b""), (b"user.large", b"v" * 3000),
        )),
        file(b"more attributes", 100,
             xattrs=tuple((b"user.%03d" % number, b"v" * 9999) for number in range(9))),
        first,
        Entry(b"second name", first.mode, size=first.size, link_to=first, source=first.source),
        Entry(b"fifo", stat.S_IFIFO | 0o600),
        Entry(b"socket", stat.S_IFSOCK | 0o600),
        Entry(b"chr", stat.S_IFCHR | 0o620, rdev=os.makedev(5, 1)),
        Entry(b"blk", stat.S_IFBLK | 0o660, rdev=os.makedev(259, 70_000)),
        file(b"n" * 255, 1),
        file(b"\xff\xfe", 4096),
        file(b"new\nline", 4095),
        file(b"-before-dot", 4096 - 64),
        file(b"one-too-many", 4096 - 63),
        Entry(b"sticky", stat.S_IFDIR | 0o1777),
        Entry(b"long link", stat.S_IFLNK | 0o777, size=1509, target=b"t" * 1509),
        Entry(b"longest link", stat.S_IFLNK | 0o777, size=4095, target=b"u" * 4095,
              xattrs=((b"trusted.on-a-link", b"1"),)),
        file(b"1901", 1, mtime_ns=-2_177_452_800 * _SECOND + 1),
        file(b"2300", 1, mtime_ns=10_413_792_000 * _SECOND + 999_999_999),
        file(b"hole", GIB + 7, extents=((GIB // 2, 4096),)),
        file(b"all hole", 5 * GIB, extents=()),
        file(b"hole inside a block", 300, extents=((0, 10), (200, 20))),
        file(b"ends in a hole", 3 * 4096 + 5, extents=((4096, 10),)),
        file(b"ends in data", 9 * 4096 + 5, extents=((0, 4096), (8 * 4096, 4101))),
    ]  # fmt: skip
    return Manifest(sorted(entries, key=lambda entry: order(entry.path)))


class Letters(contents.Bytes):
    """The same source, but for files of holes: a gibibyte of noise would take a minute."""

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        for entry in reversed(entries):
            if entry.size > GIB // 2:
                for offset, length in entry.extents or ():
                    yield entry, offset, memoryview(b"h" * length)
            else:
                yield from super().stream([entry])


LETTERS = Letters()

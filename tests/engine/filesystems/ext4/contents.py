"""Random trees with real bytes, and a source that gives them in an order and pieces of its own."""

from __future__ import annotations

import os
import random
import stat
import struct
from collections.abc import Iterator, Sequence

from hypothesis import strategies as st

from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest

Extents = tuple[tuple[int, int], ...]


class Bytes:
    """A source that invents each file's bytes from its path, last file first, in odd pieces."""

    def data(self, entry: Entry) -> bytes:
        """Returns a whole file, holes as zeros."""
        noise = random.Random(entry.path).randbytes(entry.size)
        if entry.extents is None:
            return noise
        holed = bytearray(entry.size)
        for offset, length in entry.extents:
            holed[offset : offset + length] = noise[offset : offset + length]
        return bytes(holed)

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        buffer = bytearray(100_000)
        for entry in reversed(entries):
            data = self.data(entry)
            for first, length in ((0, entry.size),) if entry.extents is None else entry.extents:
                end = first + length
                for at in range(first, end, len(buffer)):
                    piece = data[at : min(end, at + len(buffer))]
                    buffer[: len(piece)] = piece
                    yield entry, at, memoryview(buffer)[: len(piece)]

    def describe(self, entry: Entry) -> str:
        return "invented " + os.fsdecode(entry.path)


SOURCE = Bytes()


def acl(users: list[tuple[int, int]]) -> bytes:
    """Returns an access ACL as getxattr gives it."""
    nobody = 0xFFFFFFFF
    entries = [(1, 7, nobody), *((2, bits, uid) for uid, bits in users), (4, 5, nobody)]
    entries += [(0x10, 7, nobody), (0x20, 0, nobody)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)


NAMES = st.one_of(
    st.sampled_from([b"a", b"b", b"Z", b"-", b"with space", b'"quoted"', b"line\nbreak", b"\xff"]),
    st.binary(min_size=1, max_size=12),
    st.integers(250, 255).map(lambda length: b"n" * length),
).filter(lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b".."))

_SECONDS = st.one_of(
    st.integers(-(2**31), 2**33 + 2**31 - 1),
    st.sampled_from([0, -1, 2**31 - 1, 2**31, 2**32, -(2**31)]),
)
TIMES = st.builds(lambda seconds, rest: seconds * 10**9 + rest, _SECONDS, st.integers(0, 10**9 - 1))
OWNERS = st.one_of(st.sampled_from([0, 1000, 65_535, 65_536, 2**32 - 2]), st.integers(0, 2**32 - 2))
SIZES = st.one_of(
    st.sampled_from([0, 1, 4095, 4096, 4097, 49_152, 49_153]), st.integers(0, 300_000)
)
XATTRS = st.dictionaries(
    st.sampled_from([b"user.a", b"user.longer", b"trusted.t", b"security.selinux"]),
    st.one_of(st.binary(max_size=40), st.integers(0, 900).map(lambda size: b"v" * size)),
    max_size=3,
)
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)


@st.composite
def attributes(draw: st.DrawFn, *, kind: int) -> tuple[tuple[bytes, bytes], ...]:
    """Draws extended attributes that an inode of that kind may have."""
    if kind == stat.S_IFLNK or draw(st.integers(0, 3)):
        return ()
    drawn = draw(XATTRS)
    if kind == stat.S_IFREG and draw(st.booleans()):
        drawn[b"security.capability"] = CAPABILITY
    if draw(st.booleans()):
        users = draw(st.lists(st.tuples(OWNERS, st.integers(0, 7)), max_size=8, unique=True))
        drawn[b"system.posix_acl_access"] = acl(users)
    return tuple(sorted(drawn.items()))


@st.composite
def sparse(draw: st.DrawFn) -> tuple[int, Extents]:
    """Draws size and data ranges of a file with holes, not all at block boundaries."""
    at, ranges = 0, []
    for hole, length in draw(
        st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 20_000)), max_size=12)
    ):
        ranges.append((at + hole, length))
        at += hole + length + 1
    return at + draw(st.integers(0, 100_000)), tuple(ranges)


@st.composite
def entry(draw: st.DrawFn, path: bytes, earlier: list[Entry]) -> Entry:
    """Draws an entry; a further name of an earlier one now and then."""
    kind = draw(
        st.sampled_from(
            [stat.S_IFREG] * 3
            + [stat.S_IFDIR] * 3
            + [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
        )
    )
    files = [each for each in earlier if not each.is_directory and each.link_to is None]
    if files and draw(st.integers(0, 5)) == 0:
        first = draw(st.sampled_from(files))
        if order(first.path) < order(path):
            return Entry(path, first.mode, size=first.size, link_to=first, source=first.source)
    size, extents, target, rdev = 0, None, b"", 0
    if kind == stat.S_IFREG:
        size, extents = (draw(SIZES), None) if draw(st.booleans()) else draw(sparse())
    elif kind == stat.S_IFLNK:
        length = draw(st.one_of(st.integers(1, 80), st.sampled_from([59, 60, 4095])))
        target = random.Random(path).randbytes(length).replace(b"\0", b"x")
        size = length
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        rdev = os.makedev(draw(st.integers(0, 4095)), draw(st.integers(0, 2**20 - 1)))
    return Entry(
        path,
        kind | draw(st.integers(0, 0o7777)),
        uid=draw(OWNERS),
        gid=draw(OWNERS),
        mtime_ns=draw(TIMES),
        size=size,
        target=target,
        rdev=rdev,
        xattrs=draw(attributes(kind=kind)),
        extents=extents,
        source=SOURCE if kind == stat.S_IFREG else None,
    )


@st.composite
def trees(draw: st.DrawFn) -> Manifest:
    """Draws a small tree of everything."""
    root = Entry(
        b"",
        stat.S_IFDIR | draw(st.integers(0, 0o7777)),
        uid=draw(OWNERS),
        mtime_ns=draw(TIMES),
        xattrs=draw(attributes(kind=stat.S_IFDIR)),
    )
    entries = [root]
    taken = {b"", b"lost+found"}
    for name in draw(st.lists(NAMES, max_size=14)):
        folder = draw(st.sampled_from([each.path for each in entries if each.is_directory]))
        path = folder + b"/" + name if folder else name
        if path not in taken:
            taken.add(path)
            entries.append(draw(entry(path, entries)))
    if draw(st.integers(0, 9)) == 0:
        entries.append(Entry(b"lost+found", stat.S_IFDIR | 0o711, uid=7, mtime_ns=10**18))
    return Manifest(sorted(entries, key=lambda each: order(each.path)))

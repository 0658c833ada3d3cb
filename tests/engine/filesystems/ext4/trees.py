"""Small manifests whose bytes come from nowhere in particular."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence

from hypothesis import strategies as st

from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest

PIECE = 1 << 20


class Filler:
    """A source of files that are full of one letter."""

    def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
        letters = memoryview(b"x" * PIECE)
        for entry in entries:
            for offset, length in ((0, entry.size),) if entry.extents is None else entry.extents:
                for at in range(offset, offset + length, PIECE):
                    yield entry, at, letters[: min(PIECE, offset + length - at)]

    def describe(self, entry: Entry) -> str:
        return f"filler for {entry.path!r}"


FILLER = Filler()


def directory(path: bytes, *, xattrs: tuple[tuple[bytes, bytes], ...] = ()) -> Entry:
    return Entry(path, stat.S_IFDIR | 0o755, xattrs=xattrs)


def file(
    path: bytes,
    size: int,
    extents: tuple[tuple[int, int], ...] | None = None,
    *,
    xattrs: tuple[tuple[bytes, bytes], ...] = (),
) -> Entry:
    return Entry(
        path, stat.S_IFREG | 0o644, size=size, extents=extents, xattrs=xattrs, source=FILLER
    )


def symlink(path: bytes, target: bytes) -> Entry:
    return Entry(path, stat.S_IFLNK | 0o777, target=target, size=len(target))


def link(path: bytes, first: Entry) -> Entry:
    return Entry(path, first.mode, size=first.size, link_to=first, source=first.source)


def device(path: bytes) -> Entry:
    return Entry(path, stat.S_IFCHR | 0o600, rdev=0x0103)


def manifest(entries: Iterable[Entry]) -> Manifest:
    """Returns a manifest of these entries and a root."""
    return Manifest(sorted([directory(b""), *entries], key=lambda entry: order(entry.path)))


def files(folder: bytes, count: int, *, width: int = 8, size: int = 0) -> list[Entry]:
    """Returns a folder of equal files."""
    names = (b"%0*d" % (width, number) for number in range(count))
    return [directory(folder), *(file(folder + b"/" + name, size) for name in names)]


XATTRS = st.lists(st.integers(0, 700), max_size=4).map(
    lambda sizes: tuple((b"user.%d" % at, b"v" * size) for at, size in enumerate(sizes))
)
SPARSE = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 60_000)), max_size=9)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Draws trees of every kind of entry, some directories beyond a block."""
    entries: list[Entry] = []
    for number in range(draw(st.integers(0, 4))):
        folder = b"d%d" % number
        count = draw(st.sampled_from([0, 1, 20, 300, 1500]))
        width = draw(st.sampled_from([4, 30, 255]))
        entries += files(folder, count, width=width, size=draw(st.sampled_from([0, 1, 5000])))
        entries[-count - 1].xattrs = draw(XATTRS)
        for at, size in enumerate(draw(st.lists(st.integers(0, 3_000_000), max_size=3))):
            entries.append(file(folder + b"/file%d" % at, size, xattrs=draw(XATTRS)))
            if draw(st.booleans()):
                entries.append(link(folder + b"/link%d" % at, entries[-1]))
        for at, length in enumerate(draw(st.lists(st.integers(1, 300), max_size=3))):
            entries.append(symlink(folder + b"/symlink%d" % at, b"t" * length))
        ranges, end = [], 0
        for gap, length in draw(SPARSE):
            ranges.append((end + gap * 4096, length))
            end += gap * 4096 + -(-length // 4096) * 4096
        entries.append(file(folder + b"/sparse", end + 12_345, tuple(ranges)))
        entries.append(device(folder + b"/zero"))
    return manifest(entries)

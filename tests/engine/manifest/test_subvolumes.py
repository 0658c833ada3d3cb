"""What a file system with subvolumes holds, against a model that follows every path by hand."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Sequence

from hypothesis import given
from hypothesis import strategies as st

from engine.disk.subvolumes import Subvolume
from engine.disk.volume import Volume
from engine.filesystems.paxstream import stream
from engine.manifest import subvolumes
from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from engine.manifest.memory import directory, file_of

NAMES = (b"a", b"home", b"var", b"lib", b"zz")
LAYOUTS = (
    ("/", ("@:/", "@home:/home", "@/var/lib", "spare")),
    ("/", ("home:/home", "var/lib:/var/lib")),
    ("/", ("zz:/", "a:/home/a", "b/c:/var")),
    ("/srv", ("@:/srv", "@deep:/srv/home/a")),
    ("/srv", ("home", "var")),
    ("", ("a/b", "zz")),
)


def volume(mount: str, texts: tuple[str, ...]) -> Volume:
    """Returns a Btrfs with subvolumes."""
    found = tuple(Subvolume.parsed(text) for text in texts)
    return Volume(id="v", role="data", format="btrfs", mount=mount or None, subvolumes=found)


@st.composite
def trees(draw: st.DrawFn) -> Manifest:
    """Directories, files and hard links, in order."""
    folders = draw(st.sets(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(tuple)))
    there = {folder[:depth] for folder in folders for depth in range(1, len(folder) + 1)}
    entries = [directory(b"", mtime_ns=5)]
    entries += [directory(b"/".join(path), mtime_ns=5, mode=0o700) for path in there]
    for path in (b"", *(b"/".join(path) for path in there)):
        if draw(st.booleans()):
            where = b"/".join(filter(None, (path, b"file")))
            entries.append(file_of(where, b"of " + path, mtime_ns=6))
    entries.sort(key=lambda entry: order(entry.path))
    files = [entry for entry in entries if entry.is_regular]
    first = files[0] if files else None
    for other in files[1:]:
        if first is not None and draw(st.booleans()):
            other.link_to, other.size, other.source, other.stamp = first, 0, None, None
    return Manifest(entries)


def data(entry: Entry) -> bytes:
    entry = entry.link_to or entry
    assert entry.source is not None
    return b"".join(bytes(piece) for _, _, piece in entry.source.stream([entry]))


@given(st.sampled_from(LAYOUTS), trees())
def test_every_path_lies_where_a_mount_would_find_it(
    layout: tuple[str, tuple[str, ...]], tree: Manifest
) -> None:
    wanted = volume(*layout)
    stored = subvolumes.arranged(tree, wanted, 7)
    paths = [entry.path for entry in stored]
    assert paths == sorted(set(paths), key=order)
    assert paths[0] == b""
    for path in paths[1:]:
        above = stored.get(path.rpartition(b"/")[0])
        assert above is not None
        assert above.is_directory
    for one in wanted.subvolumes:
        top = stored.get(one.name.encode())
        assert top is not None
        assert stat.S_ISDIR(top.mode)
    top_path = wanted.top.rstrip("/")
    for entry in tree:
        full = f"{top_path}/{entry.path.decode()}".rstrip("/") or "/"
        mounts = [each for each in wanted.mounts if full == each.mount
                  or full.startswith(each.mount.rstrip("/") + "/")]  # fmt: skip
        inner = max(mounts, key=lambda each: len(each.mount), default=Subvolume("", top_path))
        rest = full[len(inner.mount.rstrip("/")) :].strip("/")
        found = stored.get("/".join(filter(None, (inner.name, rest))).encode())
        assert found is not None
        assert (found.mode, found.mtime_ns) == (entry.mode, entry.mtime_ns)
        if entry.is_regular:
            assert data(found) == data(entry)
    names = {one.name.encode() for one in wanted.subvolumes}
    for entry in stored:
        if entry.link_to is not None:  # no link goes from one subvolume into another
            assert home(entry.path, names) == home(entry.link_to.path, names)
            assert order(entry.link_to.path) < order(entry.path)
    seen = {entry.path: entry for entry in subvolumes.mounted(stored, wanted)}
    for entry in tree:
        assert seen[entry.path].mode == entry.mode


def home(path: bytes, names: set[bytes]) -> bytes:
    while path and path not in names:
        path = path.rpartition(b"/")[0]
    return path


def test_files_of_one_archive_are_read_in_one_pass() -> None:
    passes = []

    class Once:
        def stream(self, entries: Sequence[Entry]) -> Iterator[tuple[Entry, int, memoryview]]:
            passes.append(len(entries))
            for entry in entries:
                yield entry, 0, memoryview(b"x" * entry.size)

        def describe(self, entry: Entry) -> str:
            return "an archive"

    source = Once()
    files = [Entry(b"f%d" % number, stat.S_IFREG | 0o644, size=3, source=source, stamp=number)
             for number in range(9)]  # fmt: skip
    tree = Manifest([directory(b"", mtime_ns=0), *files])
    stored = subvolumes.arranged(tree, volume("/", ("@:/",)), 0)
    archive = b"".join(bytes(piece) for piece in stream(stored))
    assert archive.count(b"xxx") == 9
    assert passes == [9]

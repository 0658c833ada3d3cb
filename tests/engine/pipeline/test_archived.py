"""What a kernel read of a volume, as an archive, held against the manifest."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.filesystems.paxstream import everything, stream
from engine.image.reading import BadFilesystem
from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from engine.manifest.memory import copy, file_of
from engine.manifest.scan import scan
from engine.pipeline.archived import first_of, read
from engine.provenance.inputs import read_sums
from tests.engine.manifest.support import content, settings

SECOND = 10**9
TOP = Entry(b"", stat.S_IFDIR | 0o1755, uid=5, gid=6, mtime_ns=SECOND)


def entries() -> list[Entry]:
    first = file_of(b"file", b"data" * 3000, mtime_ns=-4 * SECOND - 1, mode=0o4755)
    first.uid, first.xattrs = 4_000_000_000, ((b"trusted.x", b"a\0=\n\xff"), (b"user.y", b""))
    return [
        TOP, Entry(b"dir", stat.S_IFDIR | 0o700, mtime_ns=1),
        Entry(b"dir/null", stat.S_IFCHR | 0o666, rdev=os.makedev(1, 3)),
        Entry(b"dir/pipe", stat.S_IFIFO | 0o600), first,
        Entry(b"link", stat.S_IFLNK | 0o777, size=300, target=b"\xfft" * 150),
        Entry(b"other", first.mode, uid=first.uid, size=first.size, link_to=first),
        file_of(b"x\n\xff", b"", mtime_ns=0),
    ]  # fmt: skip


def differences(
    archive: Sequence[bytes], manifest: Manifest, *, before: Manifest | None = None
) -> list[str]:
    """Returns how an archive differs from a manifest, whose data is that of `before`."""
    source, sink = os.pipe()

    def write() -> None:
        with os.fdopen(sink, "wb") as pipe:
            pipe.writelines(archive)

    writing = threading.Thread(target=write)
    writing.start()
    try:
        found = read(source, manifest, everything, lambda: False)
    finally:
        writing.join()  # which also says that all was read
        os.close(source)
    sums = read_sums(before or manifest).of(manifest)
    return first_of(found.differences(manifest, sums, everything))


def archive_of(manifest: Manifest) -> list[bytes]:
    return [bytes(piece) for piece in stream(manifest)]


def test_an_archive_of_it_is_no_different() -> None:
    manifest = Manifest(entries())
    padded = [*archive_of(manifest), bytes(300_000)]

    assert differences(padded, manifest) == []


@pytest.mark.parametrize(
    ("path", "change", "says"),
    [
        (b"file", {"mode": stat.S_IFREG | 0o755}, "/file has the mode"),
        (b"file", {"uid": 7}, "/file has the owner"),
        (b"file", {"mtime_ns": -4 * SECOND - 2}, "/file has the time in ns"),
        (b"file", {"xattrs": ()}, "/file has the extended attributes"),
        (b"file", {"stamp": b"dATA" * 3000}, "/file has other bytes"),
        (b"file", {"stamp": b"da", "size": 2}, "/file has the size"),
        (b"link", {"target": b"t", "size": 1}, "/link has the target"),
        (b"dir/null", {"rdev": 5}, "/dir/null has the device"),
        (b"dir/pipe", {"path": b"dir/zzz"}, "/dir/pipe is missing"),
        (b"other", {"link_to": None}, "/other is not the same file as /file"),
        (b"", {"mode": stat.S_IFDIR | 0o755}, "/ has the mode"),
    ],
)
def test_what_is_lost_is_named(path: bytes, change: dict[str, object], says: str) -> None:
    wanted = Manifest(entries())
    changed = []
    for entry in entries():
        new = copy(entry)
        if entry.path == path:
            for name, value in change.items():
                setattr(new, name, value)
            if "link_to" in change:
                new = file_of(b"other", b"data" * 3000, mtime_ns=-4 * SECOND - 1, mode=0o4755)
        changed.append(new)
    firsts = {entry.path: entry for entry in changed}
    for entry in changed:
        if entry.link_to is not None:
            entry.link_to = firsts[entry.link_to.path]
    given = Manifest(sorted(changed, key=lambda entry: order(entry.path)))

    assert any(says in text for text in differences(archive_of(given), wanted))


def test_what_is_there_unplanned_is_named() -> None:
    manifest = Manifest(entries())
    more = Manifest([*entries(), file_of(b"zz", b"", mtime_ns=0)])

    assert differences(archive_of(more), manifest) == ["/zz is there unplanned"]


@pytest.mark.parametrize("kept", [0, 6000])
def test_an_archive_that_ends_early_is_told(kept: int) -> None:
    manifest = Manifest(entries())

    with pytest.raises(BadFilesystem, match="ends early"):
        differences([b"".join(archive_of(manifest))[:kept]], manifest)


def test_holes_may_become_data_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    with (tmp_path / "tree" / "sparse").open("wb") as file:
        file.truncate(1 << 40)
        for at in (4096, 1 << 30):
            file.seek(at)
            file.write(b"here")
    scanned = scan(settings(content(tmp_path / "tree")))
    manifest = scanned.volumes["root"]

    assert differences(archive_of(manifest), manifest) == []

"""Plans of what a kernel fills: bounds, and what XFS and Btrfs keep of what goes in."""

from __future__ import annotations

import stat

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.filesystems import table
from engine.filesystems.driver import FilesystemPlan, Request
from engine.filesystems.mounted import touched
from engine.manifest.entry import Entry, order
from engine.manifest.manifest import Manifest
from tests.engine.filesystems import writing

MIB, SECOND = 1 << 20, 10**9
FORMATS = ("xfs", "btrfs")
TOP = Entry(b"", stat.S_IFDIR | 0o755)


def a_file(path: bytes = b"file", size: int = 0, **fields: object) -> Entry:
    return Entry(path, stat.S_IFREG | 0o644, size=size, **fields)  # type: ignore[arg-type]


def request(*entries: Entry, free: int = 0) -> Request:
    ordered = sorted(entries, key=lambda entry: order(entry.path))
    return Request(manifest=Manifest([TOP, *ordered]), uuid=writing.UUID, free=free)


def planned(key: str, *entries: Entry) -> FilesystemPlan:
    return table.DRIVERS[key].least(request(*entries)).filesystem


trees = st.dictionaries(
    st.binary(min_size=1, max_size=255).filter(lambda name: not {0, 47} & set(name)),
    st.tuples(st.integers(0, 1 << 34), st.integers(0, 3)), max_size=12,
)  # fmt: skip


@pytest.mark.parametrize("key", FORMATS)
@given(files=trees, free=st.integers(0, 1 << 36), more=st.integers(0, 1 << 36))
@example(files={b"a": (1, 0)}, free=2049, more=2048)  # half a block more is nothing more
def test_the_least_holds_it_and_what_is_less_does_not(
    key: str, files: dict[bytes, tuple[int, int]], free: int, more: int
) -> None:
    entries = [
        a_file(name, size, xattrs=tuple((b"user.%d" % i, b"v" * 99) for i in range(attributes)))
        for name, (size, attributes) in files.items()
    ]
    wanted, driver = request(*entries, free=free), table.DRIVERS[key]
    sized = driver.least(wanted)
    for plan in (sized.filesystem, driver.fit(wanted, sized.bytes + more)):
        assert sum(part for _, part in plan.parts) == plan.size
        assert plan.shortage is None
        assert plan.data_bytes == sum(size for size, _ in files.values())
        assert plan.free_bytes >= free
        assert plan.size >= plan.data_bytes + plan.free_bytes
    smallest = driver.smallest(wanted)
    assert smallest <= sized.bytes
    if smallest - 2 * MIB >= table.least(key, 512):
        lacking = driver.fit(wanted, smallest - 2 * MIB)
        assert lacking.shortage is not None
        assert sum(part for _, part in lacking.parts) == lacking.size


@pytest.mark.parametrize("key", FORMATS)
@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (Entry(b"s", stat.S_IFSOCK | 0o600), "a socket"),
        (Entry(b"l", stat.S_IFLNK | 0o777, target=b"t" * 4095, size=4095), "target of 4,095 bytes"),
        (a_file(uid=(1 << 32) - 1), "the owner 4294967295"),
    ],
)
def test_what_cannot_be_held_is_refused(key: str, entry: Entry, reason: str) -> None:
    (refused,) = planned(key, entry).refused
    assert refused.entry is entry
    assert reason in refused.reason


def test_limits_are_each_formats_own() -> None:
    link = Entry(b"l", stat.S_IFLNK | 0o777, target=b"t" * 1024, size=1024)
    large = a_file(xattrs=((b"user.large", bytes(20_000)),))
    assert [bool(planned(key, link).refused) for key in FORMATS] == [True, False]
    assert [bool(planned(key, large).refused) for key in FORMATS] == [False, True]
    first = a_file(b"a")
    others = [a_file(b"b%d" % number, link_to=first) for number in range(65_535)]
    assert [len(planned(key, first, *others).refused) for key in FORMATS] == [0, 1]


def test_what_is_not_kept_is_told() -> None:
    old = a_file(b"old", mtime_ns=-(1 << 31) * SECOND - 1)
    link = Entry(b"link", stat.S_IFLNK | 0o600, target=b"t", size=1,
                 xattrs=((b"trusted.x", b""), (b"user.x", b"")))  # fmt: skip
    drops = {drop.what: drop.first for drop in planned("xfs", old, link).drops}
    assert drops == {
        "times outside of its range": (b"old",), "attributes of kinds": (b"link",),
    }  # fmt: skip
    keep = table.keep("xfs")
    assert keep(old).mtime_ns == -(1 << 31) * SECOND
    assert keep(link) == (stat.S_IFLNK | 0o777, 0, ((b"trusted.x", b""),))
    assert keep(a_file(xattrs=((b"trusted.SGI_ACL_FILE", b""),))).xattrs == ()
    assert [drop.what for drop in planned("btrfs", old).drops] == []


@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(0, 9000)), max_size=8))
def test_blocks_touched_are_those_with_data(pieces: list[tuple[int, int]]) -> None:
    at, extents = 0, []
    for gap, length in pieces:
        extents.append((at + gap, length))
        at += gap + length
    blocks, count = touched(a_file(size=at, extents=tuple(extents)), 4096)
    truth = {byte // 4096 for first, length in extents for byte in range(first, first + length)}
    assert blocks == len(truth)
    assert count <= len(pieces)

"""What is large: sums of a tree that agree with a walk over it."""

from __future__ import annotations

import stat

from hypothesis import given
from hypothesis import strategies as st

from engine.manifest.entry import Entry, order
from engine.manifest.usage import Usage

NAMES = st.lists(st.sampled_from([b"a", b"b", b"c\xff", b"d e"]), min_size=1, max_size=5)


def tree(sizes: dict[tuple[bytes, ...], int]) -> list[Entry]:
    """Entries of files with these sizes, and of every folder above them, in manifest order."""
    folders = {path[:depth] for path in sizes for depth in range(len(path))} | {()}
    entries = [Entry(b"/".join(path), stat.S_IFDIR | 0o755) for path in folders]
    entries += [
        Entry(b"/".join(path), stat.S_IFREG | 0o644, size=size)
        for path, size in sizes.items()
        if path not in folders
    ]
    return sorted(entries, key=lambda entry: order(entry.path))


@given(st.dictionaries(NAMES.map(tuple), st.integers(0, 2**50), max_size=12))
def test_every_folder_is_the_sum_of_its_children(sizes: dict[tuple[bytes, ...], int]) -> None:
    entries = tree(sizes)
    usage = Usage(entries)
    files = [entry for entry in entries if entry.is_regular]
    assert usage.total().size == sum(entry.size for entry in files)
    assert usage.total().entries == len(entries)
    for entry in entries:
        if not entry.is_directory:
            continue
        children = usage.children(entry.path)
        total = usage.total(entry.path)
        assert total.size == sum(child.size for child in children)
        assert total.entries == 1 + sum(child.entries for child in children)
        assert [c.size for c in children] == sorted((c.size for c in children), reverse=True)


def test_a_file_with_two_names_counts_once() -> None:
    first = Entry(b"a", stat.S_IFREG | 0o644, size=100)
    second = Entry(b"b", stat.S_IFREG | 0o644, size=100, link_to=first)
    usage = Usage([Entry(b"", stat.S_IFDIR | 0o755), first, second])
    assert usage.total().size == 100
    assert [(item.name, item.size) for item in usage.children()] == [(b"a", 100), (b"b", 0)]


def test_kinds_and_names() -> None:
    entries = [
        Entry(b"", stat.S_IFDIR | 0o755),
        Entry(b"d", stat.S_IFDIR | 0o755),
        Entry(b"d/l", stat.S_IFLNK | 0o777, size=3, target=b"xyz"),
        Entry(b"d/p", stat.S_IFIFO | 0o644),
    ]
    usage = Usage(entries)
    assert [(i.name, i.kind, i.size) for i in usage.children(b"d")] == [
        (b"l", "link", 0),
        (b"p", "other", 0),
    ]
    assert usage.children(b"nowhere") == ()
    assert usage.total(b"nowhere").entries == 0

"""Ties the names of one inode together again after the tree around them has changed."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence

from engine.manifest.entry import Entry
from engine.manifest.memory import copy

Heads = Mapping[Hashable, Entry]


def relink(
    entries: Sequence[Entry], heads: Iterable[Heads], moved: Iterable[tuple[Entry, Entry]]
) -> list[Entry]:
    """Returns the entries with every inode's first name leading.

    Names of one inode that came by different parts share it, unless mode or owner differ.

    Args:
        entries: In manifest order; those that others hold are copied, not changed.
        heads: For each part, by inode, the first name of every file that has several.
        moved: Pairs of a part's entry and the one that stands for it at another path.
    """
    inodes: dict[int, Hashable] = {
        id(head): inode for table in heads for inode, head in table.items()
    }
    for old, new in moved:
        inode = inodes.get(id(old.link_to or old))
        if inode is not None:
            inodes[id(new)] = inode
    leaders: dict[Hashable, Entry] = {}
    return [_tied(entry, inodes, leaders) for entry in entries]


def _tied(entry: Entry, inodes: Mapping[int, Hashable], leaders: dict[Hashable, Entry]) -> Entry:
    inode = inodes.get(id(entry), inodes.get(id(entry.link_to)))
    if inode is None:
        return entry
    key = (inode, entry.mode, entry.uid, entry.gid)
    leader = leaders.get(key)
    if leader is entry.link_to:
        tied = entry
    else:
        tied = copy(entry)
        tied.link_to = leader
    leaders.setdefault(key, tied)
    return tied

"""Holds the indexes of directories of an XFS against their names.

An index has the hash of each name, sorted, and where the name lies. A kernel finds no name that its
index lacks.

Source: fs/xfs/libxfs/xfs_da_format.h, xfs_da_btree.c and xfs_dir2_priv.h of the Linux kernel.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from engine.filesystems.xfs.reader import Xfs
from engine.filesystems.xfs.reader_blocks import DIRECTORY, INDEX
from engine.filesystems.xfs.reader_directory import Named, Unit
from engine.filesystems.xfs.reader_inode import Inode
from engine.image.reading import BadFilesystem
from engine.units import in_bytes

_INDEX_BEGINS, _FREE_BEGINS, _FREE_ENDS = 1 << 35, 2 << 35, 3 << 35
_SCALE = 3
"""Places are counted in 8 bytes."""
_ONE, _ONE_V4 = b"XDB3", b"XD2B"
_SINGLE = (0x3DF1, 0xD2F1)
_LEAF = (0x3DFF, 0xD2FF)
_NODE = (0x3EBE, 0xFEBE)
_FREE, _FREE_V4 = b"XDF3", b"XD2F"
_ENTRY = struct.Struct(">II")
_WORD = 0xFFFFFFFF


def index_troubles(xfs: Xfs, inode: Inode, entries: Sequence[Named]) -> Iterator[str]:
    """Yields what is wrong with the index of a directory that has blocks, as sentences.

    Raises:
        BadFilesystem: A block of it is damaged.
    """
    if xfs.superblock.case:
        return
    wanted = sorted((name_hash(each.name), each.place >> _SCALE) for each in entries)
    found = _in_one(xfs, inode)
    if found is None:
        found = []
        lasts: dict[int, int] = {}
        nodes: list[list[tuple[int, int]]] = []
        for unit in xfs.directories.units(inode, _INDEX_BEGINS, _FREE_BEGINS):
            kind, pairs = _index_block(xfs, inode, unit)
            if pairs != sorted(pairs, key=lambda pair: pair[0]):
                yield f"its index is not sorted at {xfs.blocks.named(unit.block)}"
            if pairs:
                lasts[unit.logical] = pairs[-1][0]
            if kind in _NODE:
                nodes.append(pairs)
            else:
                found += pairs
        yield from _nodes(nodes, lasts)
        _free(xfs, inode)
    found = sorted(pair for pair in found if pair[1])
    if found != wanted:
        lost = len(set(wanted) - set(found))
        yield f"its index has {len(found)} of {len(wanted)} names, and lacks {lost}"


def _nodes(nodes: list[list[tuple[int, int]]], lasts: dict[int, int]) -> Iterator[str]:
    """Checks that each node says the last hash of what is below it."""
    wrong = sum(lasts.get(below) != last for pairs in nodes for last, below in pairs)
    if wrong:
        yield f"{wrong} blocks of its index are not where it says"


def _in_one(xfs: Xfs, inode: Inode) -> list[tuple[int, int]] | None:
    """Returns the index of a directory of one block, which ends it."""
    units = list(xfs.directories.units(inode, 0, 2 * xfs.superblock.directory_block))
    if not units or units[0].raw[:4] not in {_ONE, _ONE_V4}:
        return None
    raw = units[0].raw
    (count,) = struct.unpack_from(">I", raw, len(raw) - 8)
    start = len(raw) - 8 - count * 8
    if start < 16:
        raise BadFilesystem(f"an index of {count} names in {in_bytes(len(raw))}")
    return list(_ENTRY.iter_unpack(raw[start:-8]))


def _index_block(xfs: Xfs, inode: Inode, unit: Unit) -> tuple[int, list[tuple[int, int]]]:
    raw = unit.raw
    (kind,) = struct.unpack_from(">H", raw, 8)
    which = 0 if xfs.superblock.checksums else 1
    if kind not in {_SINGLE[which], _LEAF[which], _NODE[which]}:
        raise BadFilesystem(f"an index block of kind {kind:#x} at {xfs.blocks.named(unit.block)}")
    xfs.blocks.sealed(raw, INDEX, unit.block, inode.number, "its index")
    at, start = (12, 16) if which else (56, 64)
    (count,) = struct.unpack_from(">H", raw, at)
    if start + count * 8 > len(raw):
        raise BadFilesystem(f"an index block of {count} names in {in_bytes(len(raw))}")
    return kind, list(_ENTRY.iter_unpack(raw[start : start + count * 8]))


def _free(xfs: Xfs, inode: Inode) -> None:
    """Checks the blocks that say how much is free in those of names."""
    magic = _FREE if xfs.superblock.checksums else _FREE_V4
    for unit in xfs.directories.units(inode, _FREE_BEGINS, _FREE_ENDS):
        if unit.raw[:4] != magic:
            raise BadFilesystem(
                f"a list of free bytes at {xfs.blocks.named(unit.block)} begins with "
                f"{unit.raw[:4]!r}"
            )
        xfs.blocks.sealed(unit.raw, DIRECTORY, unit.block, inode.number, "its list of free bytes")


def name_hash(name: bytes) -> int:
    """Returns the hash of a name: 7 bits of each byte further on, round and round."""
    value, at = 0, 0
    while len(name) - at >= 4:
        one, two, three, four = name[at : at + 4]
        value = (one << 21) ^ (two << 14) ^ (three << 7) ^ four ^ _turned(value, 28)
        at += 4
    rest = name[at:]
    if not rest:
        return value
    folded = 0
    for byte in rest:
        folded = folded << 7 ^ byte
    return folded ^ _turned(value, 7 * len(rest))


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & _WORD

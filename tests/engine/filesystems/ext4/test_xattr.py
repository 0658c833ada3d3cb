"""Extended attributes: where they go, and what they take."""

from __future__ import annotations

import struct

import pytest

from engine.filesystems.ext4.xattr import BLOCK_ROOM, INODE_ROOM, disk_attribute, place

ACL = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, 6, identity)
    for tag, identity in [
        (1, 2**32 - 1),
        (2, 1000),
        (4, 2**32 - 1),
        (16, 2**32 - 1),
        (32, 2**32 - 1),
    ]
)


@pytest.mark.parametrize(
    ("name", "index", "rest"),
    [
        (b"user.a", 1, b"a"),
        (b"trusted.overlay.opaque", 4, b"overlay.opaque"),
        (b"security.capability", 6, b"capability"),
        (b"odd", 0, b"odd"),
    ],
)
def test_prefixes_are_numbers(name: bytes, index: int, rest: bytes) -> None:
    attribute = disk_attribute(name, b"12345")
    assert (attribute.index, attribute.name, attribute.value) == (index, rest, b"12345")
    assert attribute.room == 16 + (len(rest) + 3) // 4 * 4 + 8


def test_an_acl_drops_the_ids_that_mean_nothing() -> None:
    attribute = disk_attribute(b"system.posix_acl_access", ACL)
    assert (attribute.index, attribute.name) == (2, b"")
    assert len(attribute.value) == 4 + 4 * 4 + 8
    assert attribute.value[:4] == struct.pack("<I", 1)
    assert attribute.value[8:16] == struct.pack("<HHI", 2, 6, 1000)


def test_what_does_not_fit_the_inode_goes_to_a_block() -> None:
    small, large = (b"user.a", b"v" * 20), (b"user.b", b"v" * 100)
    last = (b"user.c", b"v" * (INODE_ROOM - 2 * 20 - 20))
    placed = place((small, large, last))
    assert [attribute.name for attribute in placed.inode] == [b"a", b"c"]
    assert [attribute.name for attribute in placed.block] == [b"b"]
    assert sum(attribute.room for attribute in placed.inode) == INODE_ROOM
    assert placed.fits


def test_a_block_has_an_end() -> None:
    assert place(((b"user.a", b"v" * (BLOCK_ROOM - 20)),)).fits
    assert not place(((b"user.a", b"v" * (BLOCK_ROOM - 19)),)).fits
